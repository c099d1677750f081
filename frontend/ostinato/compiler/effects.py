"""Proof that a capture may be replayed without Python: a profile hook and the bytecode."""

from __future__ import annotations

import builtins
import dis
import math
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, cast

from ..runtime import _C
from .bytecode import Write, facts_of
from .reads import Reads, reached
from .sources import is_ours

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
_TRUSTED_FILES = ("contextlib.py", "functools.py", "typing.py", "<frozen", "<string>", "enum.py")


@contextmanager
def watched(
    fn: Any, leaves: Sequence[Any], give_up: Callable[[str], object] | None = None
) -> Generator[Watch]:
    """Looks for what runs inside and a replay would not repeat, and at what user code, `fn` with
    arguments of these leaves to begin with, reads.

    What is found before it happens goes to `give_up`, which raises. What is found afterwards, or
    all where there is no `give_up`, is the `problem`.
    """
    watch = Watch(give_up)
    watch.reads.start(fn, leaves)
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield watch
    finally:
        sys.setprofile(before)


class Watch:
    """A profile hook; `problem` is the first thing that a replay would not repeat."""

    def __init__(self, give_up: Callable[[str], object] | None) -> None:
        self.problem: str | None = None
        self.seen: set[CodeType] = set()
        self.reads = Reads(self._report)
        self._give_up = give_up

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if self.problem is not None or not _C.is_capturing():
            return
        code = frame.f_code
        if is_ours(code) or _is_trusted(code):
            return
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

    def _look_at(self, code: CodeType) -> None:
        line: int = code.co_firstlineno
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
                self._report(frame.f_code, write.line, _text(write), over)

    def _report(self, code: CodeType, line: int, what: str, over: bool = False) -> None:
        if self.problem is not None:
            return
        problem = (
            f"capture: {what} at {code.co_filename}:{line} would not be repeated by a replay; "
            "do it outside the compiled function, or return the value"
        )
        if self._give_up is not None and not over:
            self._give_up(problem)
        self.problem = problem


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


def _is_of_fresh(fn: Any, frame: FrameType) -> bool:
    """Whether `fn` is a method of a list or the like that was made in this call of the function."""
    owner: Any = getattr(fn, "__self__", None)
    if type(owner) not in (list, dict, set):
        return False
    return any(frame.f_locals.get(name) is owner for name in facts_of(frame.f_code).fresh)


def _is_trusted(code: CodeType) -> bool:
    return code.co_filename.endswith(_TRUSTED_FILES) or code.co_filename.startswith("<frozen")


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
