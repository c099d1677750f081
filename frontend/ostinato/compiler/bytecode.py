"""What the bytecode of a function says of the names that it reads and the containers it changes."""

from __future__ import annotations

import dis
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import CodeType
from typing import Any, cast

Position = tuple[int | None, int | None, int | None, int | None]


@dataclass(frozen=True)
class Chain:
    """A name and the attributes and constant items that are read from it: `self.layers[0].w`.

    `kind` is local, cell or global. An open chain goes on in a way that cannot be told: by a call,
    or an item that is computed.
    """

    kind: str
    name: str
    steps: tuple[tuple[str, Any], ...] = ()  # ("attribute", name) or ("item", key)
    position: Position = (None, None, None, None)
    open: bool = False

    def then(self, kind: str, key: Any, position: Position) -> Chain:
        """One step further."""
        return self if self.open else replace(self, steps=(*self.steps, (kind, key)),
                                              position=position)  # fmt: skip


@dataclass(frozen=True)
class Constant:
    """A constant on the stack."""

    value: Any


@dataclass(frozen=True)
class Write:
    """A change of what a chain leads to: of an item (`a.b[i] = x`, `del a[i]`), of an attribute
    (`a.grad = x`), or as a whole by an augmented assignment (`a += x`), which changes lists but not
    numbers."""

    chain: Chain | None
    line: int
    kind: str = "item"  # or "attribute" or "augmented"
    attribute: str = ""


@dataclass(frozen=True)
class Lookup:
    """A `getattr` whose name is computed, or a `vars`, of what a chain leads to where that is
    known."""

    of: Chain | None
    line: int


@dataclass
class Facts:
    """What a code object does, in the order of its instructions."""

    chains: list[Chain] = field(default_factory=list[Chain])
    writes: list[Write] = field(default_factory=list[Write])
    fresh: frozenset[str] = frozenset()  # names that only ever hold containers made right there
    computed: list[Lookup] = field(default_factory=list[Lookup])


_LOADS = {
    "LOAD_FAST": "local", "LOAD_FAST_CHECK": "local", "LOAD_FAST_BORROW": "local",
    "LOAD_DEREF": "cell", "LOAD_CLASSDEREF": "cell", "LOAD_GLOBAL": "global",
    "LOAD_NAME": "global",
}  # fmt: skip
_NOTHING = {
    "RESUME", "CACHE", "NOP", "EXTENDED_ARG", "PRECALL", "KW_NAMES", "COPY_FREE_VARS", "MAKE_CELL",
    "TO_BOOL", "SETUP_ANNOTATIONS", "NOT_TAKEN",
}  # fmt: skip
_MAKES_CONTAINER = {
    "BUILD_LIST", "BUILD_MAP", "BUILD_SET", "BUILD_CONST_KEY_MAP", "LIST_EXTEND", "SET_UPDATE",
    "DICT_UPDATE",
}  # fmt: skip


@lru_cache(maxsize=4096)
def facts_of(code: CodeType) -> Facts:
    """The facts of one code object; those nested in it have their own."""
    reader = _Reader(code)
    steps = cast("Iterable[Any]", dis.get_instructions(code))
    for step in steps:
        reader.take(step)
    return reader.finish()


class _Reader:
    """Follows the stack of the interpreter along the instructions, as far as chains go."""

    def __init__(self, code: CodeType) -> None:
        self.code, self.facts = code, Facts()
        self.stack: list[Chain | Constant | None] = []
        self.before = ""
        self.line = code.co_firstlineno
        self.stores: dict[str, list[str]] = {}
        self.augmented = False

    def finish(self) -> Facts:
        """What was found."""
        given = self.code.co_varnames[: self.code.co_argcount + self.code.co_kwonlyargcount]
        self.facts.fresh = frozenset(
            name
            for name, made_by in self.stores.items()
            if all(m in _MAKES_CONTAINER for m in made_by) and name not in given
        )
        return self.facts

    def take(self, step: Any) -> None:
        """The next instruction."""
        position: Position = step.positions or (None, None, None, None)
        self.line = position[0] or self.line
        name: str = step.opname
        if name in _NOTHING:
            return
        if not self._loads(name, step, position) and not self._writes(name, step):
            self._shift(name, step)
        self.augmented = name == "BINARY_OP" and step.argrepr.endswith("=")
        self.before = name

    def _loads(self, name: str, step: Any, position: Position) -> bool:
        if name in _LOADS:
            if name == "LOAD_GLOBAL" and step.arg & 1:
                self.stack.append(None)
            self._load(Chain(_LOADS[name], step.argval, (), position))
        elif name in ("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"):
            for part in cast("tuple[str, str]", step.argval):
                self._load(Chain("local", part, (), position))
        elif name in ("LOAD_ATTR", "LOAD_METHOD"):
            of = self._pop()
            attribute = step.argval
            if of is not None:
                self._load(of.then("attribute", attribute, position))
            else:
                self.stack.append(None)
            if name == "LOAD_METHOD" or dis.stack_effect(step.opcode, step.arg, jump=False) > 0:
                self.stack.append(None)
        elif name == "LOAD_CONST":
            self.stack.append(Constant(step.argval))
        elif name == "BINARY_SUBSCR" and self.stack and isinstance(self.stack[-1], Constant):
            key, of = self.stack.pop(), self._pop()
            assert isinstance(key, Constant)
            self._load(None if of is None else of.then("item", key.value, position))
        elif name == "COPY":
            depth: int = step.arg
            self.stack.append(self.stack[-depth] if depth <= len(self.stack) else None)
        elif name == "SWAP":
            self._swap(step.arg)
        else:
            return False
        return True

    def _load(self, chain: Chain | None) -> None:
        self.stack.append(chain)
        if chain is not None and not chain.open:
            self.facts.chains.append(chain)

    def _writes(self, name: str, step: Any) -> bool:
        if name in ("STORE_SUBSCR", "DELETE_SUBSCR"):
            self._pop()
            self.facts.writes.append(Write(self._pop(), self.line))
            if name == "STORE_SUBSCR":
                self._pop()
        elif name == "STORE_SLICE":
            self._pop()
            self._pop()
            self.facts.writes.append(Write(self._pop(), self.line))
            self._pop()
        elif name == "STORE_ATTR":
            self.facts.writes.append(Write(self._pop(), self.line, "attribute", step.argval))
            self._pop()
        elif name in ("STORE_FAST", "STORE_DEREF"):
            self._pop()
            self._store("local" if name == "STORE_FAST" else "cell", step.argval)
        elif name in ("STORE_FAST_STORE_FAST", "STORE_FAST_LOAD_FAST"):
            for part in step.argval if name == "STORE_FAST_STORE_FAST" else step.argval[:1]:
                self._pop()
                self._store("local", part)
                self.augmented, self.before = False, ""
            if name == "STORE_FAST_LOAD_FAST":
                self._load(Chain("local", step.argval[1]))
        else:
            return False
        return True

    def _store(self, kind: str, name: str) -> None:
        if self.augmented:
            self.facts.writes.append(Write(Chain(kind, name), self.line, "augmented"))
        else:
            self.stores.setdefault(name, []).append(self.before)

    def _shift(self, name: str, step: Any) -> None:
        """Any other instruction: what it leaves on top is unknown, or goes on from a chain."""
        effect = dis.stack_effect(step.opcode, step.arg, jump=False)
        if name.startswith("CALL"):
            extra = {"CALL": 2, "CALL_KW": 3}.get(name)
            taken = self._drop(1 - effect if extra is None else step.arg + extra)
            if _is_lookup(taken) and _name_given(taken) is None:
                self.facts.computed.append(Lookup(_arguments(taken)[0], self.line))
            self._load(_called(taken, step.positions))
        elif name == "BINARY_SUBSCR" or name == "BINARY_SLICE":
            start = self._drop(1 - effect)[0]
            self._load(replace(start, open=True) if isinstance(start, Chain) else None)
        elif name.startswith(("POP_", "STORE_", "DELETE_", "RETURN")) or effect > 0:
            self._drop(-effect)
            self.stack += [None] * effect
        elif not name.startswith(("JUMP", "FOR_ITER")):
            self._drop(1 - effect)
            self.stack.append(None)

    def _pop(self) -> Chain | None:
        top = self.stack.pop() if self.stack else None
        return top if isinstance(top, Chain) else None

    def _drop(self, count: int) -> Sequence[Chain | Constant | None]:
        taken = [self.stack.pop() if self.stack else None for _ in range(count)][::-1]
        return taken or [None]

    def _swap(self, depth: int) -> None:
        if depth <= len(self.stack):
            self.stack[-1], self.stack[-depth] = self.stack[-depth], self.stack[-1]


Taken = Sequence[Chain | Constant | None]


def _called(taken: Taken, position: Position | None) -> Chain | None:
    """What a call gives, from its function and arguments: `getattr(x, "name")` goes on from x."""
    callee = _callee(taken)
    if callee is None:
        return None
    name = _name_given(taken)
    if _is_lookup(taken) and name is not None:
        of = _arguments(taken)[0]
        return None if of is None else of.then("attribute", name, position or of.position)
    return replace(callee, open=True)


def _callee(taken: Taken) -> Chain | None:
    return next((c for c in taken[:2] if isinstance(c, Chain)), None)


def _arguments(taken: Taken) -> tuple[Chain | None, ...]:
    """The chains given; what is no chain is None."""
    at = next(i for i, c in enumerate(taken[:2]) if isinstance(c, Chain))
    given = [c if isinstance(c, Chain) else None for c in taken[at + 1 :]]
    return (*given, None)


def _is_lookup(taken: Taken) -> bool:
    """Whether it is a call of `getattr` or the like."""
    callee = _callee(taken)
    of = callee and (callee.kind, callee.steps, callee.open)
    return callee is not None and of == ("global", (), False) and callee.name in _LOOKUPS


def _name_given(taken: Taken) -> str | None:
    at = next((i for i, c in enumerate(taken[:2]) if isinstance(c, Chain)), 0)
    name = taken[at + 2] if len(taken) > at + 2 else None
    return name.value if isinstance(name, Constant) and isinstance(name.value, str) else None


_LOOKUPS = ("getattr", "hasattr", "vars", "dir")
