"""Proof that a capture may be replayed without Python: a profile hook and the bytecode."""

from __future__ import annotations

import builtins
import dis
import math
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from inspect import CO_COROUTINE
from types import CodeType, FrameType
from typing import Any, NoReturn, cast

from ..runtime import _C
from .bytecode import Write, facts_of
from .frames import is_ours
from .live import LiveNumber
from .lookup import reached
from .reads import Reads

_SAFE_BUILTINS = {
    getattr(builtins, name)
    for name in (
        "abs", "all", "any", "bin", "callable", "chr", "divmod", "format", "getattr", "hasattr",
        "hash", "hex", "id", "isinstance", "issubclass", "iter", "len", "max", "min", "next", "oct",
        "ord", "pow", "repr", "round", "sorted", "sum", "vars", "dir", "__build_class__",
    )
}  # fmt: skip
_PURE_MODULES = {"math", "_operator", "cmath", "itertools", "_functools", "optree._C"}
_PURE_METHODS: dict[Any, set[str] | None] = {
    dict: {"get", "items", "keys", "values", "copy", "__contains__", "__getitem__"},
    list: {"index", "count", "copy", "__getitem__", "__contains__"},
    tuple: {"index", "count", "__getitem__", "__contains__"},
    str: None, bytes: None, int: None, float: None, bool: None, range: None, frozenset: None,
    slice: None, type: {"mro", "__subclasses__"}, set: {"copy", "__contains__"},
}  # fmt: skip
_TENSOR_ATTRIBUTES = {"grad", "requires_grad", "data"}
_STORES = {"STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF"}
_IN_PLACE = ("__iadd__", "__imul__", "__ior__", "__iand__", "__isub__", "__ixor__")
_TRUSTED_FILES = (
    "contextlib.py", "functools.py", "typing.py", "enum.py", "core/_dtype.py", "numerictypes.py",
)  # fmt: skip
"""Of Python and NumPy, what runs to make or describe an object. Whole names or ends of them."""
_TRUSTED_FROZEN = ("<frozen importlib", "<frozen abc", "<frozen _collections_abc")


class Restart(BaseException):
    """A capture is given up before the function did anything outside of itself.

    No Exception, since the function must not catch it.
    """


@contextmanager
def watched(fn: Any, leaves: Sequence[Any], gives_up: bool = False) -> Generator[Watch]:
    """Looks for what runs inside and a replay would not repeat, and at what user code, `fn` with
    arguments of these leaves to begin with, reads.

    Where the watch `gives_up`, it does so when it sees something before it happens. What is found
    afterwards, or all where it does not, is the `problem`.
    """
    watch = Watch(gives_up, any(map(_is_number, leaves)))
    watch.reads.start(fn, leaves)
    with _silent_ends(), _C.Profile(watch):
        yield watch


class Watch:
    """A profile hook; `problem` is the first thing that a replay would not repeat."""

    def __init__(self, gives_up: bool, has_numbers: bool) -> None:
        self.problem: str | None = None
        self.seen: set[CodeType] = set()
        self.reads = Reads(self._report)
        self._gives_up, self._has_numbers = gives_up, has_numbers
        self._given_up: str | None = None
        self._finalizer: FrameType | None = None

    def give_up(self, why: str) -> NoReturn:
        """Restart, now and at whatever handlers of the function that catch it do next."""
        self._given_up = self._given_up or why
        raise Restart(self._given_up)

    def forget_reads(self) -> None:
        """Lets go of what the function read."""
        self.reads = Reads(self._report)

    def expect_going(self) -> None:
        """Restart where the function is over and caught one."""
        if self._given_up is not None:
            self.give_up(self._given_up)

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if self.problem is not None or not _C.is_capturing() or self._is_finalizing(frame, event):
            return
        code = frame.f_code
        if is_ours(code) or _is_trusted(code):
            return
        if event == "c_call" and _opens_a_lock(arg):
            self._leave_later(code, frame.f_lineno, f"a call of `{_name(arg)}`")
            return
        if event != "return":
            self.expect_going()
        if event == "call":
            if code not in self.seen:
                self.seen.add(code)
                self._look_at(code)
            self._look_at_writes(frame)
            self.reads.enter(frame)
        elif event == "return":
            self.reads.leave(frame)
            self._look_at_writes(frame, over=True)
        elif event == "c_call" and not _is_pure(arg) and not _is_of_fresh(arg, frame):
            self._report(code, frame.f_lineno, f"a call of `{_name(arg)}`")

    def _is_finalizing(self, frame: FrameType, event: str) -> bool:
        """Whether an object goes away: that runs when it will, and is no part of the function."""
        if self._finalizer is None and event == "call" and _is_finalizer(frame.f_code):
            self._finalizer = frame
        elif self._finalizer is frame and event == "return":
            self._finalizer = None
            return True
        return self._finalizer is not None

    def _look_at(self, code: CodeType) -> None:
        line: int = code.co_firstlineno
        if any(isinstance(c, CodeType) and c.co_flags & CO_COROUTINE for c in code.co_consts):
            self._report(code, line, "a coroutine")
        if self._has_numbers and "type" in code.co_names:
            self._report(code, line, "a call of `type`")  # stand-ins of numbers have their own
        steps = cast("Iterable[Any]", dis.get_instructions(code))
        for step in steps:
            if step.starts_line:
                line = step.starts_line if step.starts_line is not True else step.line_number
            if step.opname not in _STORES or step.argval in _TENSOR_ATTRIBUTES:
                continue
            if step.opname == "STORE_DEREF" and step.argval not in code.co_freevars:
                continue
            self._report(code, line, f"a write to `{step.argval}`")

    def _look_at_writes(self, frame: FrameType, over: bool = False) -> None:
        """Changes of items, of what has attributes like a tensor, and of lists and the like by
        `+=`, where what is changed is known. They were made where the function is `over`."""
        for write in facts_of(frame.f_code).writes:
            if _changes_others(write, frame):
                if over:
                    _put_numbers(write, frame)
                self._report(frame.f_code, write.line, _text(write), over)

    def _leave_later(self, code: CodeType, line: int, what: str) -> None:
        """The lock has to be open before the call starts again."""
        try:
            self._report(code, line, what)
        except Restart:
            pass  # with the next event

    def _report(self, code: CodeType, line: int, what: str, over: bool = False) -> None:
        if self.problem is not None:
            return
        problem = (
            f"capture: {what} at {code.co_filename}:{line} would not be repeated by a replay; "
            "do it outside the compiled function, or return the value"
        )
        if self._gives_up and not over:
            self.give_up(problem)
        self.problem = problem


@contextmanager
def _silent_ends() -> Generator[None]:
    """Python prints what stops a generator that is closed; not where that is a Restart."""
    before = sys.unraisablehook

    def told(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, Restart):
            before(unraisable)

    sys.unraisablehook = told
    try:
        yield
    finally:
        sys.unraisablehook = before


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, (int, float)) and not isinstance(leaf, bool)


def _opens_a_lock(fn: Any) -> bool:
    """Whether it is the end of a `with` that holds a lock."""
    owner: Any = getattr(fn, "__self__", None)
    return type(owner).__module__ == "_thread" and fn.__name__ in ("__exit__", "release")


def _is_finalizer(code: CodeType) -> bool:
    of_weakref = code.co_name == "remove" and code.co_filename.endswith("weakref.py")
    return code.co_name == "__del__" or of_weakref


def _text(write: Write) -> str:
    name = write.chain.name if write.chain else "an expression"
    if write.kind == "attribute":
        return f"a write to `{write.attribute}`"
    return f"a change of `{name}`" if write.kind == "augmented" else f"a write into `{name}`"


def _changes_others(write: Write, frame: FrameType) -> bool:
    """Whether it changes what is no tensor and was not made in this call of the function."""
    chain = write.chain
    if chain is None:
        return write.kind == "item"
    made_here = chain.name in facts_of(frame.f_code).fresh
    if made_here and not chain.steps and write.kind != "attribute":
        return False
    space = frame.f_globals if chain.kind == "global" else frame.f_locals
    if chain.name not in space:
        return chain.kind == "global" and chain.open  # what a builtin gives
    found, whole = reached(chain, space[chain.name])
    if isinstance(found, _C.Tensor):
        return False
    if write.kind == "attribute":  # others than those of tensors are refused wherever they are
        return whole and write.attribute in _TENSOR_ATTRIBUTES
    if write.kind == "augmented":
        kind: Any = cast("Any", type(found))
        return any(hasattr(kind, name) for name in _IN_PLACE)
    return not whole or not made_here or type(found) in (list, dict, set)


def _put_numbers(write: Write, frame: FrameType) -> None:
    """Numbers take the places of their stand-ins in a container that was written into."""
    assert write.chain is not None, "what is written is found by its name"
    found, _ = reached(write.chain, frame.f_locals.get(write.chain.name))
    if not isinstance(found, (list, dict)):
        return
    held = cast("Any", found)
    for key in list(held) if isinstance(found, dict) else range(len(held)):
        if isinstance(held[key], LiveNumber):
            held[key] = held[key].value


def _is_of_fresh(fn: Any, frame: FrameType) -> bool:
    """Whether `fn` is a method of a list or the like that was made in this call of the function."""
    owner: Any = getattr(fn, "__self__", None)
    if type(owner) not in (list, dict, set):
        return False
    return any(frame.f_locals.get(name) is owner for name in facts_of(frame.f_code).fresh)


def _is_trusted(code: CodeType) -> bool:
    file = code.co_filename
    return file.endswith(_TRUSTED_FILES) or file.startswith(_TRUSTED_FROZEN) or _is_generated(code)


def _is_generated(code: CodeType) -> bool:
    """Whether a dataclass or a named tuple had it written, to make an object."""
    of_dataclass = code.co_qualname.startswith("__create_fn__.") and code.co_name == "__init__"
    return code.co_filename == "<string>" and (of_dataclass or "_tuple_new" in code.co_names)


def _is_pure(fn: Any) -> bool:
    if fn in _SAFE_BUILTINS or isinstance(getattr(fn, "__self__", None), _C.Tensor):
        return True
    module = getattr(fn, "__module__", None) or ""
    if module in _PURE_MODULES or module.startswith("ostinato"):
        return True
    owner = getattr(fn, "__self__", None)
    if getattr(owner, "__name__", "").startswith(("ostinato", "math")) or owner is math:
        return True
    if isinstance(owner, type):
        return owner in _PURE_METHODS or fn.__name__ in ("__new__", "fromkeys")
    if type(owner).__module__.startswith("ostinato") or isinstance(owner, _C.Tensor):
        return True
    allowed = _PURE_METHODS.get(type(owner), set())
    return allowed is None or fn.__name__ in allowed


def _name(fn: Any) -> str:
    owner = getattr(fn, "__self__", None)
    if owner is None or type(owner).__name__ == "module":
        module = getattr(owner, "__name__", None)
        return f"{module}.{fn.__name__}" if module not in (None, "builtins") else fn.__name__
    return f"{type(owner).__name__}.{fn.__name__}"
