"""Writes one LLVM function as text: SSA values with lanes, loops, and invariants placed outside.

A `Frame` is the straight-line text of one loop body or guarded part. A pure instruction goes to
the outermost frame in which its operands exist, and is written there once; so invariants leave
loops and common subexpressions merge as the text is made, and no LLVM pass has to look for them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Value:
    """An LLVM value: `width` lanes of the scalar type `type`, defined in frame number `depth`."""

    name: str
    type: str
    width: int = 1
    depth: int = 0
    literal: bool = False

    @property
    def lanes_type(self) -> str:
        """The LLVM type: `float`, or `<16 x float>` where there are lanes."""
        return lanes_type(self.type, self.width)

    def __str__(self) -> str:
        return f"{self.lanes_type} {self.name}"


@dataclass(frozen=True, slots=True)
class LaneIndex:
    """The index of a vector axis in one step: `base` in lane 0, and one more in each next lane."""

    base: Value
    width: int


@dataclass(slots=True)
class Frame:
    """Text of a loop body or guarded part; `label` names the block that its last line is in."""

    label: str
    lines: list[str] = field(default_factory=list[str])
    known: dict[str, Value] = field(default_factory=dict[str, Value])
    guarded: bool = False


@dataclass(slots=True)
class Part:
    """A part that may be left out, and the values that it gives."""

    given: list[Value]


@dataclass(slots=True)
class Loop:
    """An open loop: its index, the values carried into this step, and those for the next one."""

    index: Value
    carried: list[Value]
    given: list[Value]


def lanes_type(type_: str, width: int) -> str:
    """The LLVM type of `width` lanes of `type_`."""
    return type_ if width == 1 else f"<{width} x {type_}>"


def integer(value: int, type_: str = "i64") -> Value:
    """An integer literal."""
    return Value(str(value), type_, literal=True)


class Writer:
    """The text of one function's body; `declared` collects the intrinsics that it calls."""

    def __init__(self, declared: set[str]) -> None:
        self.frames = [Frame("entry", guarded=True)]
        self.allocations: dict[tuple[str, object], Value] = {}
        self.declared = declared
        self._fresh = 0

    def fresh(self, prefix: str) -> str:
        """A name that no other value or block has."""
        self._fresh += 1
        return f"{prefix}{self._fresh}"

    @property
    def depth(self) -> int:
        """The number of the innermost open frame."""
        return len(self.frames) - 1

    def line(self, text: str) -> None:
        """Adds an instruction without a result to the innermost frame."""
        self.frames[-1].lines.append(f"  {text}")

    def pure(self, text: str, type_: str, width: int, operands: Sequence[Value]) -> Value:
        """The value of a side-effect-free instruction, as far out and as rarely as possible."""
        return self._define(text, type_, width, max((v.depth for v in operands), default=0))

    def read(self, text: str, type_: str, width: int, operands: Sequence[Value]) -> Value:
        """A load from memory that the kernel never writes: hoisted, but not out of a guard."""
        guard = max(i for i, frame in enumerate(self.frames) if frame.guarded)
        depth = max([guard, *(v.depth for v in operands)])
        return self._define(text, type_, width, depth)

    def stack(self, text: str, owner: object = None) -> Value:
        """The pointer of an `alloca`, one for each text and owner, made in the entry block."""
        if (text, owner) not in self.allocations:
            self.allocations[text, owner] = Value(self.fresh("%s"), "ptr")
        return self.allocations[text, owner]

    def text(self) -> str:
        """The function's body, from its entry block to its return."""
        stack = [f"  {v.name} = {text}" for (text, _), v in self.allocations.items()]
        return "\n".join(["entry:", *stack, *self.frames[0].lines, "  ret void"])

    def here(self, text: str, type_: str, width: int) -> Value:
        """The value of an instruction that must stay where it is."""
        name = self.fresh("%v")
        self.line(f"{name} = {text}")
        return Value(name, type_, width, self.depth)

    def _define(self, text: str, type_: str, width: int, depth: int) -> Value:
        frame = self.frames[depth]
        value = frame.known.get(text)
        if value is None:
            value = Value(self.fresh("%v"), type_, width, depth)
            frame.known[text] = value
            frame.lines.append(f"  {value.name} = {text}")
        return value

    def widened(self, value: Value, width: int) -> Value:
        """`value` in `width` lanes: itself if it has them, else splat."""
        if value.width == width:
            return value
        assert value.width == 1, f"{value} cannot become {width} lanes"
        if value.literal:
            return Value(f"splat ({value})", value.type, width, literal=True)
        wide = lanes_type(value.type, width)
        one = self.pure(f"insertelement {wide} poison, {value}, i64 0", value.type, width, [value])
        return self.pure(
            f"shufflevector {one}, {wide} poison, <{width} x i32> zeroinitializer",
            value.type,
            width,
            [one],
        )

    def joined(self, *values: Value) -> list[Value]:
        """`values` with as many lanes as the widest of them."""
        width = max(v.width for v in values)
        return [self.widened(v, width) for v in values]

    def binary(self, opcode: str, a: Value, b: Value) -> Value:
        """`opcode a, b`, lane by lane."""
        a, b = self.joined(a, b)
        return self.pure(f"{opcode} {a}, {b.name}", a.type, a.width, [a, b])

    def sum(self, a: Value, b: Value) -> Value:
        """The integer a + b; literals are added here."""
        if a.literal and b.literal and a.width == b.width == 1:
            return integer(int(a.name) + int(b.name), a.type)
        if b.name == "0":
            return a
        return b if a.name == "0" else self.binary("add", a, b)

    def product(self, a: Value, b: Value) -> Value:
        """The integer a * b; literals are multiplied here."""
        if a.literal and b.literal and a.width == b.width == 1:
            return integer(int(a.name) * int(b.name), a.type)
        for one, other in ((a, b), (b, a)):
            if one.name in ("0", "1"):
                return other if one.name == "1" else one
        return self.binary("mul", a, b)

    def compare(self, predicate: str, a: Value, b: Value) -> Value:
        """`icmp` or `fcmp` with its predicate, lane by lane; gives i1."""
        a, b = self.joined(a, b)
        return self.pure(f"{predicate} {a}, {b.name}", "i1", a.width, [a, b])

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """`a` where `condition`, else `b`, lane by lane."""
        a, b = self.joined(a, b)
        if condition.width > a.width:
            a, b = self.widened(a, condition.width), self.widened(b, condition.width)
        return self.pure(f"select {condition}, {a}, {b}", a.type, a.width, [condition, a, b])

    def convert(self, opcode: str, a: Value, type_: str) -> Value:
        """`opcode a to type_`, lane by lane."""
        return self.pure(f"{opcode} {a} to {lanes_type(type_, a.width)}", type_, a.width, [a])

    def intrinsic(self, name: str, *operands: Value, extra: str = "") -> Value:
        """A call of the intrinsic `name`, overloaded on its first operand; never a libm call."""
        values = self.joined(*operands)
        first = values[0]
        full = f"@{name}.{mangled(first.type, first.width)}"
        types = ", ".join(v.lanes_type for v in values)
        self.declared.add(f"declare {first.lanes_type} {full}({types}{', i1' if extra else ''})")
        text = f"call {first.lanes_type} {full}({', '.join(map(str, values))}{extra})"
        return self.pure(text, first.type, first.width, values)

    @contextmanager
    def when(self, condition: Value, otherwise: Sequence[Value] = ()) -> Generator[Part]:
        """A part that runs only where the i1 `condition` holds.

        The body sets `given`, one value for each of `otherwise`; after it `given` holds those, or
        `otherwise` where the part did not run.
        """
        inside, after = self.fresh("then"), self.fresh("after")
        frame, part = Frame(inside, guarded=True), Part([])
        self.frames.append(frame)
        yield part
        self.frames.pop()
        outer = self.frames[-1]
        chosen = [Value(self.fresh("%w"), v.type, v.width, self.depth) for v in otherwise]
        outer.lines += [
            f"  br {condition}, label %{inside}, label %{after}",
            f"{inside}:",
            *frame.lines,
            f"  br label %{after}",
            f"{after}:",
            *(
                f"  {c.name} = phi {c.lanes_type} [ {v.name}, %{outer.label} ], "
                f"[ {g.name}, %{frame.label} ]"
                for c, v, g in zip(chosen, otherwise, part.given, strict=True)
            ),
        ]
        outer.label = after
        part.given = chosen

    @contextmanager
    def loop(
        self, begin: Value, end: Value, step: int, carried: Sequence[Value] = ()
    ) -> Generator[Loop]:
        """A loop from `begin` by `step` while less than `end`, which begins at least once.

        The body sets `given`, one value for each of `carried`; after the loop `given` holds the
        last ones.
        """
        outer, head, after = self.frames[-1], self.fresh("loop"), self.fresh("after")
        frame = Frame(head)
        self.frames.append(frame)
        index = Value(self.fresh("%i"), "i64", depth=self.depth)
        phis = [Value(self.fresh("%c"), v.type, v.width, self.depth) for v in carried]
        loop = Loop(index, phis, [])
        yield loop
        following = Value(self.fresh("%n"), "i64", depth=self.depth)
        self.frames.pop()
        pairs = [(index, begin, following), *zip(phis, carried, loop.given, strict=True)]
        outer.lines += [f"  br label %{head}", f"{head}:"]
        outer.lines += [
            f"  {phi.name} = phi {phi.lanes_type} [ {first.name}, %{outer.label} ], "
            f"[ {later.name}, %{frame.label} ]"
            for phi, first, later in pairs
        ]
        more = self.fresh("%m")
        outer.lines += [
            *frame.lines,
            f"  {following.name} = add nuw nsw i64 {index.name}, {step}",
            f"  {more} = icmp slt i64 {following.name}, {end.name}",
            f"  br i1 {more}, label %{head}, label %{after}",
            f"{after}:",
        ]
        outer.label = after
        loop.given = [Value(v.name, v.type, v.width, self.depth) for v in loop.given]


def mangled(type_: str, width: int) -> str:
    """How intrinsic names spell a type: `f32`, `v16f32`."""
    short = {"float": "f32", "double": "f64", "half": "f16"}.get(type_, type_)
    return short if width == 1 else f"v{width}{short}"
