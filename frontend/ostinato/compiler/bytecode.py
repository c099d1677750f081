"""What the bytecode of a function says of the names that it reads and the containers it changes."""

from __future__ import annotations

import dis
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from inspect import CO_VARARGS, CO_VARKEYWORDS
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


@dataclass(frozen=True)
class Loose:
    """An attribute that is read of something which no chain leads to: of what a call gives, or of a
    variable that holds one thing after the other. `asked` for where it may not be there."""

    name: str
    position: Position
    asked: bool = False


@dataclass(frozen=True)
class Passed:
    """What a call of `callee` is given, where a chain leads to it."""

    callee: Chain | None
    given: Chain
    line: int


@dataclass(frozen=True)
class Identity:
    """A comparison by `is` of what two chains lead to, where that is known."""

    sides: tuple[Chain | None, Chain | None]
    line: int


@dataclass
class Facts:
    """What a code object does, in the order of its instructions."""

    chains: list[Chain] = field(default_factory=list[Chain])
    writes: list[Write] = field(default_factory=list[Write])
    fresh: frozenset[str] = frozenset()  # names that only ever hold containers made right there
    computed: list[Lookup] = field(default_factory=list[Lookup])
    loose: list[Loose] = field(default_factory=list[Loose])
    passed: list[Passed] = field(default_factory=list[Passed])
    identities: list[Identity] = field(default_factory=list[Identity])


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


_JUMPS = {*dis.hasjrel, *dis.hasjabs}
_GOES_AWAY = {
    "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "RETURN_VALUE", "RETURN_CONST",
    "RAISE_VARARGS", "RERAISE",
}  # fmt: skip


@lru_cache(maxsize=4096)
def facts_of(code: CodeType) -> Facts:
    """The facts of one code object; those nested in it have their own."""
    reader = _Reader(code)
    steps = cast("Iterable[Any]", dis.get_instructions(code))
    for step in steps:
        reader.take(step)
    return reader.finish()


Slot = Chain | Constant | None
Taken = Sequence[Slot]


class _Reader:
    """Follows the stack of the interpreter along the instructions, as far as chains go."""

    def __init__(self, code: CodeType) -> None:
        self.code, self.facts = code, Facts()
        self.stack: list[Slot] = []
        self.before = ""
        self.line = code.co_firstlineno
        self.stores: dict[str, list[str]] = {}
        self.stored_at: dict[str, list[int]] = {}
        self.loops: list[tuple[int, int]] = []  # first and last offset
        self.arrivals: dict[int, list[Slot]] = {}  # stacks by offset
        self.offset = 0
        self.augmented = False

    def finish(self) -> Facts:
        """What was found."""
        given = self.code.co_varnames[: self.code.co_argcount + self.code.co_kwonlyargcount]
        self.facts.fresh = frozenset(
            name
            for name, made_by in self.stores.items()
            if all(m in _MAKES_CONTAINER for m in made_by) and name not in given
        )
        for chain in self.facts.chains:
            if chain.steps and not self._is_settled(chain):
                self._note_loose(chain.steps[-1][1], chain.position)
        return self.facts

    def _is_settled(self, chain: Chain) -> bool:
        """Whether the name stands for one thing in all of a call."""
        name, code = chain.name, self.code
        if chain.kind == "global" or (chain.kind == "cell" and name in code.co_freevars):
            return True
        stores = self.stored_at.get(name, [])
        starred = (code.co_flags & CO_VARARGS > 0) + (code.co_flags & CO_VARKEYWORDS > 0)
        if name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + starred]:
            return not stores
        if chain.kind == "cell" or len(stores) != 1:
            return False
        return not any(first <= stores[0] <= last for first, last in self.loops)

    def _note_loose(self, name: Any, position: Position | None, asked: bool = False) -> None:
        if isinstance(name, str):
            known = position or (self.line, None, None, None)
            self.facts.loose.append(Loose(name, known, asked))

    def take(self, step: Any) -> None:
        """The next instruction."""
        position: Position = step.positions or (None, None, None, None)
        self.line, self.offset = position[0] or self.line, step.offset
        name: str = step.opname
        self._join(step)
        if name in _NOTHING:
            return
        if step.opcode in _JUMPS:
            self._jump(step)
        if not self._loads(name, step, position) and not self._writes(name, step):
            self._shift(name, step)
        self.augmented = name == "BINARY_OP" and step.argrepr.endswith("=")
        self.before = name

    def _jump(self, step: Any) -> None:
        """Where it goes on from here as well, with what is on the stack then."""
        if step.argval <= step.offset:
            self.loops.append((step.argval, step.offset))
            return
        effect = dis.stack_effect(step.opcode, step.arg, jump=True)
        stack = [*self.stack[: effect if effect < 0 else None], *[None] * effect]
        self.arrivals[step.argval] = _agreed(self.arrivals.get(step.argval, stack), stack)

    def _join(self, step: Any) -> None:
        """What is on the stack whichever way led here; nothing is known where an exception did."""
        if not step.is_jump_target:
            return
        arrived = self.arrivals.get(step.offset)
        if self.before in _GOES_AWAY:
            self.stack = arrived or []
        elif arrived is not None:
            self.stack = _agreed(arrived, self.stack)

    def _loads(self, name: str, step: Any, position: Position) -> bool:
        if name in _LOADS:
            if name == "LOAD_GLOBAL" and step.arg & 1:
                self.stack.append(None)
            self._load(Chain(_LOADS[name], step.argval, (), position))
        elif name in ("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"):
            for part in cast("tuple[str, str]", step.argval):
                self._load(Chain("local", part, (), position))
        elif name in ("LOAD_ATTR", "LOAD_METHOD"):
            self._load(self._attribute(self._pop(), step.argval, position))
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

    def _attribute(
        self, of: Chain | None, name: str, position: Position | None, asked: bool = False
    ) -> Chain | None:
        if of is None or of.open:
            self._note_loose(name, position, asked)
            return of
        return of.then("attribute", name, position or of.position)

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
        self.stored_at.setdefault(name, []).append(self.offset)
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
            self._note_passed(taken)
            self._load(self._called(taken, step.positions))
        elif name == "IS_OP":
            self._note_identity(self._drop(2))
        elif name == "MATCH_CLASS":
            self.facts.computed.append(Lookup(None, self.line))
            self._drop(3)
            self.stack.append(None)
        elif name in ("DELETE_FAST", "DELETE_DEREF"):
            self.stored_at.setdefault(step.argval, []).append(self.offset)
        elif name in ("LOAD_SUPER_ATTR", "LOAD_SUPER_METHOD"):
            self._note_loose(step.argval, step.positions)
            self._drop(1 - effect if effect < 0 else 1)
            self.stack.append(None)
        elif name == "BINARY_SUBSCR" or name == "BINARY_SLICE":
            start = self._drop(1 - effect)[0]
            self._load(replace(start, open=True) if isinstance(start, Chain) else None)
        elif name.startswith(("POP_", "STORE_", "DELETE_", "RETURN")) or effect > 0:
            self._drop(-effect)
            self.stack += [None] * effect
        elif not name.startswith(("JUMP", "FOR_ITER")):
            self._drop(1 - effect)
            self.stack.append(None)

    def _note_passed(self, taken: Taken) -> None:
        callee = _callee(taken)
        given = taken if callee is None else taken[taken.index(callee) + 1 :]
        self.facts.passed += [
            Passed(callee, c, self.line) for c in given if isinstance(c, Chain) and not c.open
        ]

    def _note_identity(self, sides: Taken) -> None:
        self.stack.append(None)
        if any(isinstance(side, Constant) for side in sides):
            return  # no container is one
        one, other = (side if isinstance(side, Chain) else None for side in sides)
        self.facts.identities.append(Identity((one, other), self.line))

    def _called(self, taken: Taken, position: Position | None) -> Chain | None:
        """What a call gives, from its function and arguments: `getattr(x, "name")` goes on from
        x."""
        callee = _callee(taken)
        if callee is None:
            return None
        name = _name_given(taken)
        if _is_lookup(taken) and name is not None:
            return self._attribute(_arguments(taken)[0], name, position, asked=True)
        return replace(callee, open=True)

    def _pop(self) -> Chain | None:
        top = self.stack.pop() if self.stack else None
        return top if isinstance(top, Chain) else None

    def _drop(self, count: int) -> Taken:
        taken = [self.stack.pop() if self.stack else None for _ in range(count)][::-1]
        return taken or [None]

    def _swap(self, depth: int) -> None:
        if depth <= len(self.stack):
            self.stack[-1], self.stack[-depth] = self.stack[-depth], self.stack[-1]


def _agreed(one: list[Slot], other: list[Slot]) -> list[Slot]:
    """What two stacks have in common."""
    if len(one) != len(other):
        return []
    return [a if a == b else None for a, b in zip(one, other, strict=True)]


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
