"""What a captured function reads outside of its arguments, as guards of the variant.

Read are names of closures and globals, and attributes and constant items reached from names, where
the bytecode shows them; the contents of lists, tuples and dicts found there; attributes of modules
that are called or listed. A capture is given up at a `getattr` of a computed name. Unseen are what
C code reads, and what calls of other libraries read.
"""

from __future__ import annotations

import functools
import gc
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MethodType,
)  # fmt: skip
from typing import Any, cast

from ..runtime import _C
from .bytecode import Chain, Lookup, Position, facts_of
from .caches import CACHED, Cache, cache_of
from .frames import is_boundary
from .lookup import (
    DOING,
    NOTHING,
    NUMBERS,
    PLAIN,
    VALUES,
    Read,
    attribute_of,
    hidden_in,
    is_absent,
    is_code,
    is_module,
    is_of_package,
    item_of,
    kind_of,
    own_attributes,
    shared_of,
    unseen_in,
    unseen_of,
)
from .loose import Met


@dataclass
class Reads:
    """The reads of one capture."""

    report: Callable[[CodeType, int, str], None]
    found: dict[tuple[str, int, Any], Read] = field(default_factory=dict[Any, Read])
    numbers: list[tuple[CodeType, Position, Read]] = field(default_factory=list[Any])
    live: set[tuple[CodeType, Position]] = field(default_factory=set[Any])
    tensors: list[Any] = field(default_factory=list[Any])
    lines: dict[tuple[str, int, Any], str] = field(default_factory=dict[Any, str])
    """Where each of `found` is read, in the same order; "" where the package does."""
    line: str = ""
    place: tuple[CodeType, int] | None = None  # of what is read now, where user code does
    containers: set[int] = field(default_factory=set[int])  # what was looked into, by id
    caches: dict[int, Cache] = field(default_factory=dict[int, Any])
    leaves: set[int] = field(default_factory=set[int])  # of the arguments, by id
    _met: Met = field(default_factory=Met)
    _entered: set[CodeType] = field(default_factory=set[CodeType])
    _functions: dict[CodeType, list[FunctionType]] = field(default_factory=dict[Any, Any])
    _referrers: dict[CodeType, list[FunctionType]] = field(default_factory=dict[Any, Any])
    _looked_at: set[int] = field(default_factory=set[int])

    def start(self, fn: Any, leaves: Sequence[Any]) -> None:
        """`fn` is what is captured, for a call with these leaves."""
        self._note_function(fn)
        self.leaves.update(map(id, leaves))
        owner = getattr(fn, "__self__", fn) if isinstance(fn, MethodType) else fn
        for given in (owner, *leaves):
            self._met.add(given)
            if isinstance(given, (list, tuple, dict, set, deque)):
                self._note_contents(given)

    def enter(self, frame: FrameType) -> None:
        """A function of user code begins: what it reads of arguments, closures and globals."""
        given = set(frame.f_locals)
        if frame.f_code not in self._entered:
            self._entered.add(frame.f_code)
            for loose in facts_of(frame.f_code).loose:
                self._met.note(frame.f_code, loose)
        self._note_method(frame)
        for chain in facts_of(frame.f_code).chains:
            if chain.kind != "local" or chain.name in given:
                self._follow(chain, frame)

    def leave(self, frame: FrameType) -> None:
        """It ends: what it read of other variables."""
        given = frame.f_code.co_varnames[: frame.f_code.co_argcount]
        for chain in facts_of(frame.f_code).chains:
            if chain.kind == "local" and chain.name not in given:
                self._follow(chain, frame)
        for lookup in facts_of(frame.f_code).computed:
            self._note_lookup(lookup, frame)

    def note_module(self, module: Any) -> None:
        """A module is called or listed: its attributes."""
        if id(module) in self._looked_at:
            return
        self._looked_at.add(id(module))
        every = cast("dict[str, Any]", vars(module))
        own = {n: v for n, v in every.items() if n != "training"}
        self._add("names of a module", every, None, tuple(own))
        self._add("of a module", module, "training", module.training)
        self._add("of a module", module, "__class__", type(module))
        ours = type(module).__module__.startswith("ostinato")
        for name, value in own.items():
            if ours and isinstance(value, NUMBERS) and not isinstance(value, bool):
                self.numbers.append(
                    (NOTHING, cast("Position", (id(module), name)),
                     ("of a module", module, name, value))
                )  # fmt: skip
            elif ours or isinstance(value, (_C.Tensor, bool)) or hasattr(value, "forward"):
                self._add("of a module", module, name, value)
                self._note_value(value)

    def note_container(self, value: list[Any]) -> None:
        """The elements of a list of the package are read."""
        self._add("elements", value, None, tuple(value))
        self.tensors += [v for v in value if isinstance(v, _C.Tensor)]

    def note_item(self, owner: dict[str, Any], key: str) -> None:
        """An item of a dictionary of the package is read."""
        self._add("item", owner, key, owner[key])

    def note_live(self, code: CodeType, position: Position) -> None:
        """The number that is read there is read again before each replay."""
        self.live.add((code, position))

    def finish(self, live_keys: set[Any]) -> list[Read]:
        """All that a replay has to find as it was. `live_keys` are those of numbers that are read
        again before each replay."""
        for code, position, read in self.numbers:
            live = position in live_keys if code is NOTHING else (code, position) in self.live
            if not live:
                self.line = "" if code is NOTHING else f"{code.co_filename}:{position[0]}"
                self._add(*read)
        for cache in self.caches.values():
            self._add("attribute", cache, "filled", cache.filled)
        return list(self.found.values())

    def _add(self, how: str, owner: Any, key: Any, what: Any) -> None:
        place = (how, id(owner), key)
        self.found.setdefault(place, (how, owner, key, what))
        self.lines.setdefault(place, self.line)

    def _follow(self, chain: Chain, frame: FrameType) -> None:
        """Note the last step of `chain`; those before have chains of their own."""
        reads = self._roots(chain, frame)
        for kind, key in chain.steps:
            if not reads:
                self._met.note(frame.f_code, chain)
                return
            value = reads[0][3]
            if isinstance(value, _C.Tensor):
                return
            if is_of_package(value) and (is_code(value) or key not in own_attributes(value)):
                return
            self._met.add(value)
            read = attribute_of(value, key) if kind == "attribute" else item_of(value, key)
            if kind == "attribute":
                self._note_way(value, key, read)
            if read is None and (unseen := unseen_in(value, kind, key)):
                self._refuse(chain, frame, unseen)
            reads = [] if read is None else [read]
        for read in () if _is_passed_on(chain) else reads:
            self._note_end(read, chain, frame)

    def _note_end(self, read: Read, chain: Chain, frame: FrameType) -> None:
        """What a chain leads to."""
        value = read[3]
        self._met.add(value)
        if read[1] is None:
            return
        if isinstance(value, NUMBERS) and not isinstance(value, bool):
            self.numbers.append((frame.f_code, chain.position, read))
        elif not isinstance(value, _C.Tensor) or self._is_outside(value, chain, frame):
            self._go_to(frame.f_code, chain.position[0] or frame.f_lineno)
            self._add(*read)
            self._note_value(value)
            if unseen := unseen_of(value):
                self._refuse(chain, frame, unseen)

    def _go_to(self, code: CodeType, line: int) -> None:
        self.place, self.line = (code, line), f"{code.co_filename}:{line}"

    def look_around(self) -> None:
        """The function is over: what it read of things that no name leads to is looked for in all
        that it met."""
        self._met.look_at_all(self._look_at)

    def _look_at(self, owner: Any, name: str) -> None:
        """An attribute of this name is read of something, which may be `owner`."""
        read = attribute_of(owner, name)
        code, position = self._met.places[name][0]
        self._go_to(code, position[0] or 0)
        self._note_way(owner, name, read)
        for kind in hidden_in(kind_of(owner), name):  # `super()` finds them
            self._add("of a class", kind, name, shared_of(kind, name))
        value = None if read is None else read[3]
        if read is None or isinstance(value, _C.Tensor):
            return
        if isinstance(value, NUMBERS) and not isinstance(value, bool):
            if not self.live.issuperset(self._met.places[name]):
                self._add(*read)
            return
        self._add(*read)
        self._note_value(value)
        self._met.add(value)
        if unseen := unseen_of(value):
            self.report(code, position[0] or 0, f"`{name}` leads to {unseen}, which")

    def _note_way(self, owner: Any, name: str, read: Read | None) -> None:
        """That the attribute is found where it was: what the object itself has comes before what
        its class has, and another class may have another."""
        if isinstance(cached := shared_of(kind_of(owner), name), CACHED):
            self.caches[id(cached)] = cache_of(cached)
        if read is not None:
            if isinstance(read[3], FunctionType) and read[1] is not owner:
                self._add("attribute", owner, name, MethodType(read[3], owner))
        elif is_absent(owner, name):
            self._add("absent", owner, name, None)
        else:
            kind = owner if isinstance(owner, type) else kind_of(owner)
            self._add("attribute", owner, "__class__", kind_of(owner))
            self._add("of a class", kind, name, shared_of(kind, name, None))

    def _note_method(self, frame: FrameType) -> None:
        """That the class has the method which begins, however it was found."""
        code = frame.f_code
        first = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if first is None or isinstance(first, (_C.Tensor, *VALUES)):
            return
        for kind in type(first).__mro__:
            method = vars(kind).get(code.co_name)
            if isinstance(method, FunctionType) and method.__code__ is code:
                self._add("attribute", kind, code.co_name, method)

    def _note_lookup(self, lookup: Lookup, frame: FrameType) -> None:
        """`getattr` with a computed name may read any attribute: those of modules are guarded."""
        chain = lookup.of
        roots = [] if chain is None or chain.open or chain.steps else self._roots(chain, frame)
        value = roots[0][3] if roots else None
        if isinstance(value, _C.Tensor) or is_of_package(value):
            return
        if value is None or not is_module(value):
            self.report(frame.f_code, lookup.line, "an attribute whose name is computed, which")
            return
        self.note_module(value)
        for name, part in cast("dict[str, Any]", vars(value)).items():
            self._add("of a module", value, name, part)

    def _refuse(self, chain: Chain, frame: FrameType, what: str) -> None:
        line = chain.position[0] or frame.f_lineno
        self.report(frame.f_code, line, f"`{chain.name}` leads to {what}, which")

    def _is_outside(self, tensor: Any, chain: Chain, frame: FrameType) -> bool:
        """Whether a tensor was there before the call, or may be what another call has instead."""
        if _C.is_traced(tensor):
            return False
        code = frame.f_code
        given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        return chain.kind != "local" or chain.name in given or id(tensor) not in self.leaves

    def _roots(self, chain: Chain, frame: FrameType) -> list[Read]:
        """Where the name of a chain is found: in each of the closures that it may be of."""
        name, space = chain.name, frame.f_globals
        if chain.kind == "global":
            if name in space:
                return [("item", space, name, space[name])]
            builtin = frame.f_builtins.get(name, NOTHING)
            self._add("unnamed" if builtin is NOTHING else "builtin", space, name, builtin)
            if DOING.intersection(key for _, key in chain.steps):  # of `object` and the like
                self._refuse(chain, frame, "a function that cannot be looked into")
            return []
        if name not in frame.f_locals:
            return []
        value = frame.f_locals[name]
        if chain.kind == "cell" and name in frame.f_code.co_freevars:
            code = _closed_over_in(frame, name)
            cells = [] if code is None else self.cells(code, name, value)
            if cells:
                return [("attribute", cell, "cell_contents", value) for cell in cells]
        return [("local", None, None, value)]

    def cells(self, code: CodeType, name: str, value: Any) -> list[Any]:
        """The closure variables of functions with this code that are `value`: which of these
        functions runs cannot be told."""
        if code not in self._referrers:
            found = gc.get_referrers(code)
            self._referrers[code] = [f for f in found if isinstance(f, FunctionType)]
        every = [*self._referrers[code], *self._functions.get(code, ())]
        at = code.co_freevars.index(name)
        cells = {id(f.__closure__[at]): f.__closure__[at] for f in every if f.__closure__}
        return [c for c in cells.values() if _is_in(value, c)]

    def _note_value(self, value: Any) -> None:
        if isinstance(value, _C.Tensor):
            self.tensors.append(value)
        elif isinstance(value, (list, tuple, dict, set, deque)):
            self._note_contents(value)
        elif value is os.environ:
            self._note_contents(vars(value)["_data"])
        else:
            if is_module(value):
                self.note_module(value)
            self._note_function(value)

    def _note_contents(self, value: Any) -> None:
        if id(value) in self._looked_at:
            return
        self._looked_at.add(id(value))
        self.containers.add(id(value))
        if isinstance(value, dict):
            pairs = cast("dict[Any, Any]", value).items()
            self._add("entries", value, None, tuple(x for pair in pairs for x in pair))
            inner = [v for _, v in pairs]
        else:
            inner = list(cast("list[Any]", value))
            if isinstance(value, list):
                self._add("elements", value, None, tuple(inner))
            elif isinstance(value, set):
                self._add("members", value, None, frozenset(inner))
            elif isinstance(value, deque):
                self._add("members", value, None, value.copy())
        objects = [v for v in inner if not isinstance(v, (*PLAIN, *NUMBERS))]
        for v in objects:
            self._met.add(v)
            self._note_value(v)
            if self.place is not None and (unseen := unseen_of(v)):
                self.report(*self.place, f"a container leads to {unseen}, which")

    def _note_function(self, value: Any) -> None:
        """A change of the code of a function that is called is seen; and its cells are known."""
        if isinstance(value, functools.partial):
            self._note_contents(value.args)
            self._note_contents(value.keywords)
            self._note_function(value.func)
            return
        if isinstance(value, MethodType):
            value = value.__func__
        if isinstance(value, CACHED):
            self.caches[id(value)] = cache_of(value)
        if not isinstance(value, (FunctionType, BuiltinFunctionType, type, *VALUES)):
            call = getattr(kind_of(value), "__call__", None)  # noqa: B004
            value = getattr(kind_of(value), "forward", call)
        while isinstance(value, FunctionType) and not is_of_package(value):
            self._functions.setdefault(value.__code__, []).append(value)
            self._add("attribute", value, "__code__", value.__code__)
            self._add("attribute", value, "__defaults__", value.__defaults__)
            self._add("attribute", value, "__kwdefaults__", value.__kwdefaults__)
            if value.__kwdefaults__ is not None:
                self._note_contents(value.__kwdefaults__)
            value = vars(value).get("__wrapped__")


def _closed_over_in(frame: FrameType, name: str) -> CodeType | None:
    """The outermost function of the capture that has this variable in its closure; None where one
    of the capture made it, so that no other call has it."""
    inner, outer = frame, frame.f_back
    while outer is not None and not is_boundary(outer.f_code):
        nested = inner.f_code in outer.f_code.co_consts
        if nested and outer.f_locals.get(name, NOTHING) is inner.f_locals[name]:
            if name in outer.f_code.co_cellvars:
                return None
            inner = outer
        outer = outer.f_back
    return inner.f_code


def _is_in(value: Any, cell: Any) -> bool:
    try:
        return cell.cell_contents is value
    except ValueError:
        return False  # it is empty


def _is_passed_on(chain: Chain) -> bool:
    """Whether it leads to an item of an argument or variable; those of what is read elsewhere are
    guarded there."""
    return chain.kind == "local" and all(kind == "item" for kind, _ in chain.steps)
