"""Proof that a capture may be replayed without Python: a profile hook and the bytecode."""

from __future__ import annotations

import dis
import functools
import sys
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from itertools import islice
from threading import Lock
from types import CodeType, FrameType
from typing import Any, cast

from ..runtime import _C
from .beside import Beside
from .bytecode import Chain, Write, facts_of
from .call_key import is_number
from .frames import is_ours
from .live import LiveNumber
from .lookup import reached, unseen_of
from .purity import is_pure, may_do_something, spelling_of
from .reads import Reads

_TENSOR_ATTRIBUTES = {"grad", "requires_grad", "data"}
_STORES = {"STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF"}
_IN_PLACE = ("__iadd__", "__imul__", "__ior__", "__iand__", "__isub__", "__ixor__")
_TRUSTED_FILES = (
    "contextlib.py", "functools.py", "typing.py", "enum.py", "core/_dtype.py", "numerictypes.py",
)  # fmt: skip
"""Of Python and NumPy, what runs to make or describe an object. Whole names or ends of them."""
_TRUSTED_FROZEN = ("<frozen importlib", "<frozen abc", "<frozen _collections_abc")


_OUTSIDE = (
    ("/threads.py", ""), ("/optim/lr_scheduler.py", ""), ("/amp.py", "GradScaler.update"),
    ("/amp.py", "GradScaler.get_scale"), ("/amp.py", "GradScaler.load_state_dict"),
    ("/optim/optimizer.py", "Optimizer.load_state_dict"),
    ("/optim/optimizer.py", "Optimizer.add_param_group"), ("/cuda/devices.py", ""),
    ("/cuda/memory.py", ""), ("/cuda/nvtx.py", ""), ("/cuda/streams.py", ""),
)  # fmt: skip
"""Functions of the package, by file and name, whose calls a replay would leave out."""


class Restart(BaseException):
    """A capture is given up before the function did anything outside of itself.

    No Exception, since the function must not catch it.
    """


@contextmanager
def watched(
    fn: Any, leaves: Sequence[Any], gives_up: bool = False, given: Iterable[Any] = ()
) -> Generator[Watch]:
    """Looks for what runs inside and a replay would not repeat, and at what user code, `fn` with
    arguments of these leaves to begin with, reads. `given` are the containers among the arguments.

    Where the watch `gives_up`, it does so when it sees something before it happens. What is found
    afterwards, or all where it does not, is the `problem`.
    """
    watch = Watch(gives_up, any(map(is_number, leaves)), {id(c) for c in given})
    watch.start(fn, leaves)
    profile = _C.Profile(watch)
    with silent_ends, watch.beside.told_of_collections(), profile:
        watch.profile = profile
        try:
            yield watch
        finally:
            watch.profile = None  # which holds the watch


class Watch:
    """A profile hook; `problem` is the first thing that a replay would not repeat."""

    def __init__(self, gives_up: bool, has_numbers: bool, given: set[int]) -> None:
        self.problem: str | None = None
        self.seen: set[CodeType] = set()
        self.reads = Reads(self._report)
        self._gives_up, self._has_numbers, self._given = gives_up, has_numbers, given
        self._given_up: str | None = None
        self.beside = Beside(functools.partial(self._say, over=True))
        self.profile: _C.Profile | None = None

    def start(self, fn: Any, leaves: Sequence[Any]) -> None:
        """`fn` is called with these leaves next; the call itself is not seen."""
        called = fn.func if isinstance(fn, functools.partial) else fn
        if may_do_something(called):
            self._say(f"a call of `{spelling_of(called)}`")
        for leaf in leaves:
            if (unseen := unseen_of(leaf)).startswith("the content"):
                self._say(f"a read of {unseen}, which is passed in,")
        self.reads.start(fn, leaves)

    def give_up(self, why: str) -> None:
        """Restart, now and where the function goes on all the same: at each line. What runs beside
        it could not be begun again, and is a problem."""
        self.expect_going()
        if self.beside.runs:
            self.problem = why
            return
        self._given_up = why
        if self.profile is not None:
            self.profile.see_lines()
        self.expect_going()

    def forget_reads(self) -> None:
        """Lets go of what the function read."""
        self.reads = Reads(self._report)

    def expect_going(self) -> None:
        """Restart where the function is over and caught one."""
        if self._given_up is not None:
            raise Restart(self._given_up)

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        ops = _C.recorded_ops()
        try:
            self._look_at_event(frame, event, arg)
        except Restart:
            if not _is_to_end_first(frame, event, arg):
                raise
        self.beside.expect_none_since(ops)

    def _look_at_event(self, frame: FrameType, event: str, arg: Any) -> None:
        is_apart = self.beside.look(frame, event)
        if self.problem is not None or not _C.is_capturing() or is_apart:
            return
        code = frame.f_code
        if is_ours(code):
            if event == "call":
                self._look_at_ours(frame)
            return
        if _is_trusted(code):
            return
        if self._given_up is not None:
            if event != "return":
                self.expect_going()
        elif event == "call":
            self._enter(frame)
        elif event == "return":
            self.reads.leave(frame)
            self._look_at_writes(frame, over=True)
            self._look_at_calls(frame, over=True)
        elif event == "c_call" and not is_pure(arg) and not _is_of_fresh(arg, frame):
            self._report(code, frame.f_lineno, f"a call of `{spelling_of(arg)}`")

    def _enter(self, frame: FrameType) -> None:
        if frame.f_code not in self.seen:
            self.seen.add(frame.f_code)
            self._look_at(frame.f_code)
        self._look_at_writes(frame)
        self._look_at_calls(frame)
        self.reads.enter(frame)

    def _look_at_ours(self, frame: FrameType) -> None:
        """User code calls what has an effect, or tells of something that no guard sees."""
        code, user = frame.f_code, frame.f_back
        if user is None or is_ours(user.f_code):
            return
        for file, name in _OUTSIDE:
            if code.co_filename.endswith(file) and code.co_qualname.startswith(name):
                self._report(user.f_code, user.f_lineno, f"a call of `{code.co_qualname}`")

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

    def _look_at_calls(self, frame: FrameType, over: bool = False) -> None:
        """What C code may call or look at without a hook that sees it; and comparisons by `is`
        with containers that the call is given."""
        facts = facts_of(frame.f_code)
        for passed in facts.passed:
            found = _named(passed.given, frame)
            if may_do_something(found):
                what = f"a call of `{spelling_of(found)}`, which is passed on,"
                self._report(frame.f_code, passed.line, what, over)
            elif isinstance(found, _C.Tensor) and _is_hash(passed.callee):
                self._report(frame.f_code, passed.line, "the hash of a tensor", over)
        for identity in facts.identities:
            sides = [None if c is None else _named(c, frame) for c in identity.sides]
            if any(id(side) in self._given for side in sides):
                what = "a comparison by `is` with a container that is passed in"
                self._report(frame.f_code, identity.line, what, over)

    def _report(self, code: CodeType, line: int, what: str, over: bool = False) -> None:
        self._say(f"{what} at {code.co_filename}:{line}", over)

    def _say(self, what: str, over: bool = False) -> None:
        if self.problem is not None:
            return
        problem = (
            f"capture: {what} would not be repeated by a replay; "
            "do it outside the compiled function, or return the value"
        )
        if self._gives_up and not over:
            self.give_up(problem)
        self.problem = problem


class _SilentEnds:
    """Python prints what stops a generator that is closed; not where that is a Restart. The
    captures of all threads have one hook, which the first one puts there and the last one takes."""

    def __init__(self) -> None:
        self._lock, self._captures = Lock(), 0
        self._before = sys.unraisablehook

    def __enter__(self) -> None:
        with self._lock:
            self._captures += 1
            if self._captures == 1:
                self._before, sys.unraisablehook = sys.unraisablehook, self._told

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._captures -= 1
            if self._captures == 0:
                sys.unraisablehook = self._before

    def _told(self, unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, Restart):
            self._before(unraisable)


silent_ends = _SilentEnds()


def _named(chain: Chain, frame: FrameType) -> Any:
    """What a chain leads to, methods of C included; None where that cannot be told."""
    name = chain.name
    if chain.kind == "global":
        space = frame.f_globals if name in frame.f_globals else frame.f_builtins
    else:
        space = frame.f_locals
    if name not in space:
        return None
    found, whole = reached(chain, space[name])
    if whole or len(chain.steps) == 0:
        return found
    *before, (kind, last) = chain.steps
    owner, known = reached(replace(chain, steps=tuple(before), open=False), space[name])
    is_method = known and kind == "attribute" and type(owner) in _OF_METHODS
    return getattr(owner, last, None) if is_method else None


_OF_METHODS = (list, dict, set, deque)


def _is_hash(callee: Chain | None) -> bool:
    return callee is not None and (callee.kind, callee.name, callee.steps) == ("global", "hash", ())


def _opens_a_lock(fn: Any) -> bool:
    """Whether it is the end of a `with` that holds a lock."""
    owner: Any = getattr(fn, "__self__", None)
    return type(owner).__module__ == "_thread" and fn.__name__ in ("__exit__", "release")


def _is_to_end_first(frame: FrameType, event: str, arg: Any) -> bool:
    """Whether a Restart waits for the next line: locks have to be open before the call starts
    again, and a generator that is stopped where it goes on would not open those that it holds."""
    if event == "line":
        return _ends_a_with(frame)
    if event == "call":
        return bool(frame.f_code.co_flags & _GOES_ON)
    return event == "c_call" and _opens_a_lock(arg)


def _ends_a_with(frame: FrameType) -> bool:
    """Whether a `with` is left next, by an error or not."""
    steps = (s for s in dis.get_instructions(frame.f_code) if s.offset >= frame.f_lasti)
    first, *rest = islice((s for s in steps if s.opname not in _BEFORE_AN_END), 3)
    if first.opname == "WITH_EXCEPT_START":
        return True
    return all(s.opname == "LOAD_CONST" and s.argval is None for s in (first, *rest))


_BEFORE_AN_END = ("NOP", "SWAP", "PUSH_EXC_INFO", "POP_TOP")
_GOES_ON = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR


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
