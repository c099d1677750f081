"""One captured region: from a C++ trace to IR, and from outputs of a Program to what users see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..ir.op import OPS
from ..runtime import _C
from .frames import user_frame
from .live import LiveNumber, Session
from .lookup import Read

if TYPE_CHECKING:
    from ..passes.padding.node import Plan

Source = tuple[str, Any]
"""Where a replay finds an input: ("argument", index of a leaf of the call), ("tensor", the tensor),
("grad", where its leaf is found) or ("number", how to read it given the leaves)."""

Alias = tuple[Source, Source, int, tuple[int, ...], tuple[int, ...], bool]
"""A tensor, an input whose memory it shows, how many elements later, the strides of both, and
whether gradients of one are those of the other."""


Watching = tuple[_C.Channel, list[int], int, Callable[[Sequence[Any]], Any] | None]
"""A channel, the results that say what a value is, every how many calls it is kept, and how that is
read again where it can change."""


@dataclass(frozen=True)
class Node:
    """An op of the trace; `name` is None for a gradient."""

    name: str | None
    operands: list[int]
    results: list[int]
    attrs: list[Any]
    line: tuple[str, int] | None
    no_grad: bool
    pin: int  # see `pins`


@dataclass(frozen=True)
class Ties:
    """How a region belongs to the tape outside: positions among its results of those that have
    gradients and of those whose gradients the region took itself, and the inputs they go to."""

    results: list[int]
    spent: list[int]
    wanted: list[int]


@dataclass
class Region:
    """A finished trace. `results` are the value ids of `@main`'s results: what is returned, new
    gradients, what the caller assigns, what is watched, then what is written back; `writes` pairs
    (result, input) positions."""

    nodes: list[Node]
    values: list[tuple[str, Any, tuple[int, ...], bool, Any, bool]]
    inputs: list[int]
    results: list[int]
    writes: list[tuple[int, int]]
    sources: list[Source]
    names: list[str]
    # ("value", position), ("live", read), ("same", object), ("tensor", source), or
    # ("view", (the first or the last of these, how))
    returned: list[Any]
    grads: list[tuple[Source, int | None]]  # (leaf, position among the results or None)
    assigned: list[tuple[int, int]]  # (result, input that is given it by a recorded copy_)
    grad_guards: list[tuple[Source, bool]]  # (leaf, had a gradient)
    guards: list[tuple[Any, Any, Any]]
    aliases: list[Alias]
    identical: list[tuple[Source, Source]]
    layouts: list[tuple[Source, tuple[int, ...]]]  # (input, its strides)
    reads: list[Read]
    ties: Ties
    device: str  # where it runs: `cpu`, `cuda:0`
    guard_lines: list[str]  # where each of the guards came from, and each of the reads
    read_lines: list[str]
    start: tuple[str, int]
    """The line of the first op; of a region without ops the one that asked for it."""
    watched: list[Watching]
    spare: list[int]
    """Results that are made for what is watched alone, and only where a value is kept."""
    padding: Plan | None = None
    """Of a region whose inputs are padded, after which it takes the numbers of the plan."""

    @property
    def on_host(self) -> list[bool]:
        """For each input whether the CPU holds it for a region that runs elsewhere."""
        tensors = [self.values[v][4] for v in self.inputs]
        return [self.device != "cpu" and str(t.device) == "cpu" for t in tensors]

    @property
    def changed(self) -> set[int]:
        """The inputs that the region changes in place."""
        return {i for _, i in (*self.writes, *self.assigned)}

    @property
    def is_differentiable(self) -> bool:
        """Whether a backward Program belongs to it."""
        return bool(self.ties.results)


def finish(
    tracer: Any, session: Session, leaves: Sequence[Any], outputs: Sequence[Any],
    names: dict[int, str],
) -> Region:  # fmt: skip
    """The region that `tracer` recorded, given argument leaves and the leaves that it returned."""
    results, reads = _Results(), session.reads
    places = _Places(leaves)
    changes = tracer.grad_changes()
    if reads is not None:  # leaves that a replayed function makes go with it
        changes = [c for c in changes if tracer.is_given(c[0])]
    places.grads = {id(b): places.of(leaf) for leaf, b, _, _ in changes if b is not None}
    returned = _Returned(tracer, results, places, outputs).all
    grads = [
        (places.of(leaf), None if value < 0 else results.place(value))
        for leaf, _, value, kept in changes
        if not kept
    ]
    inputs = list(tracer.inputs())
    values = list(tracer.values())
    position = {v: i for i, v in enumerate(inputs)}
    ends = [(position[target], value, recorded) for target, value, recorded in tracer.writes()]
    assigned = [(results.place(v), i) for i, v, recorded in ends if recorded]
    watched: list[Watching] = [
        (f.channel, [results.place(tracer.value_of(t)) for t in f.parts], f.every, f.read)
        for f in session.feeds.fed
    ]
    kept_elsewhere = {p for _, p in grads} | {p for p, _ in assigned}
    spare = _spare(session, outputs, returned, watched) - kept_elsewhere
    shown = len(results.values)
    writes = [(results.add(v), i) for i, v, recorded in ends if not recorded]
    sources = [
        ("number", session.inputs[v]) if v in session.inputs else places.of(values[v][4])
        for v in inputs
    ]
    nodes = [Node(*n) for n in tracer.nodes()]
    return Region(
        nodes, values, inputs, results.values, writes, sources,
        [names.get(id(values[v][4]), f"input{i}") for i, v in enumerate(inputs)],
        returned, grads, assigned,
        [(places.of(leaf), before is not None) for leaf, before, _, _ in changes],
        session.guards,
        [(places.of(t), places.of(root), *how) for t, root, *how in tracer.aliases()],
        places.identical(reads.tensors if reads else ()),
        [(places.of(t), strides) for t, strides in tracer.fixed_layouts()],
        reads.finish(set(session.by_key)) if reads else [],
        _ties(tracer, results.values[:shown], values, position), str(tracer.device()),
        session.guard_lines, list(reads.lines.values()) if reads else [], _start(nodes), watched,
        sorted(spare),
    )  # fmt: skip


def _spare(
    session: Session, outputs: Sequence[Any], returned: Sequence[Any], watched: Sequence[Watching]
) -> set[int]:
    """The results that only channels have: those of a function that is followed are among the
    outputs, as tensors that `watch` holds."""
    held = {id(part) for parts in session.feeds.held for part in parts}
    found = {position for _, positions, _, _ in watched for position in positions}
    others: set[int] = set()
    for output, (kind, what) in zip(outputs, returned, strict=True):
        kind, what = what[0] if kind == "view" else (kind, what)
        if kind == "value":
            (found if id(output) in held else others).add(what)
    return found - others


def _start(nodes: Sequence[Node]) -> tuple[str, int]:
    first = next((n.line for n in nodes if n.line is not None), None)
    frame, _ = user_frame()
    return first or (frame.f_code.co_filename, frame.f_lineno)


class _Places:
    """Where a replay finds the tensors that a capture met."""

    def __init__(self, leaves: Sequence[Any]) -> None:
        self.grads: dict[int, Source] = {}  # grads that were there before, by id
        self._tensors = [(i, t) for i, t in enumerate(leaves) if isinstance(t, _C.Tensor)]
        self._arguments: dict[int, Source] = {}
        for i, t in self._tensors:
            self._arguments.setdefault(id(t), ("argument", i))

    def of(self, tensor: Any) -> Source:
        """Where `tensor` is found: as a grad, among the arguments, else it is this one."""
        if id(tensor) in self.grads:
            return "grad", self.grads[id(tensor)]
        return self._arguments.get(id(tensor), ("tensor", tensor))

    def identical(self, read: Sequence[Any]) -> list[tuple[Source, Source]]:
        """The arguments that are found elsewhere as well, with that place: as another argument, a
        grad, or among the tensors that were `read` otherwise."""
        found: list[tuple[Source, Source]] = [
            (("argument", i), self.of(t)) for i, t in self._tensors
        ]
        found = [(here, there) for here, there in found if here != there]
        elsewhere = {id(t): t for t in read if id(t) in self._arguments}
        return found + [(self._arguments[key], ("tensor", t)) for key, t in elsewhere.items()]


class _Results:
    """The values that a region hands over, each once."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self._at: dict[int, int] = {}

    def place(self, value: int) -> int:
        """The position of `value`."""
        if value not in self._at:
            self._at[value] = self.add(value)
        return self._at[value]

    def add(self, value: int) -> int:
        """A position for `value` alone."""
        self.values.append(value)
        return len(self.values) - 1


class _Returned:
    """How a replay makes what the function returned: `all`, one entry an output."""

    def __init__(
        self, tracer: Any, results: _Results, places: _Places, outputs: Sequence[Any]
    ) -> None:
        self._tracer, self._results, self._places = tracer, results, places
        made = {id(o): o for o in outputs if isinstance(o, _C.Tensor) and not tracer.is_given(o)}
        self._views = {key: tracer.source_of(t) for key, t in made.items()}
        self._shared = Counter(id(source) for source, _ in self._views.values())
        self.all = [self._entry(o) for o in outputs]

    def _entry(self, output: Any) -> Any:
        if isinstance(output, LiveNumber):
            return "live", output.read
        if not isinstance(output, _C.Tensor):
            return "same", output
        if id(output) not in self._views:
            source = self._places.of(output)
            return ("same", output) if source[0] == "tensor" else ("tensor", source)
        source, steps = self._views[id(output)]
        if not _C.is_traced(source):
            return "view", (("tensor", self._places.of(source)), steps)
        if len(steps) and self._shared[id(source)] > 1:
            return "view", (("value", self._place(source)), steps)
        return "value", self._place(output)

    def _place(self, tensor: Any) -> int:
        return self._results.place(self._tracer.value_of(tensor))


def _has_gradient(value: tuple[str, Any, tuple[int, ...], bool, Any, bool]) -> bool:
    return value[5]


def _ties(
    tracer: Any, shown: Sequence[int], values: Sequence[Any], position: dict[int, int]
) -> Ties:
    """What of the results before those that are written back has gradients."""
    live: list[int] = []
    spent: list[int] = []
    for i, value in enumerate(shown):
        if _has_gradient(values[value]):
            leaves, released = tracer.path_of([value])
            if leaves:
                (spent if released else live).append(i)
    wanted, _ = tracer.path_of([shown[i] for i in live])
    return Ties(live, spent, [position[v] for v in wanted])


def to_module(region: Region) -> Any:
    """The region as an IR module at stage `captured`.

    Of a differentiable region it also takes the cotangents of its results, after the inputs, and
    gives those of its inputs, after the results.
    """
    from xdsl.dialects.builtin import StringAttr, UnitAttr
    from xdsl.ir import Attribute

    from ..ir.graph import HOST, NAME, close_main, open_main
    from ..ir.locations import line_location
    from ..ir.op import Type, building
    from ..ir.pins import pin_attribute
    from ..passes.pipeline import uncollected

    def type_of(value: int) -> Type:
        _, dtype, shape, wrapped, *_ = region.values[value]
        return Type(tuple(shape), dtype, wrapped)

    start = line_location(*region.start)
    outputs = [region.results[i] for i in region.ties.results]
    names = region.names + [f"gradient{i}" for i in region.ties.results]
    attributes: list[dict[str, Attribute]] = [{NAME: StringAttr(n)} for n in names]
    for given, hosted in zip(attributes, region.on_host, strict=False):
        if hosted:
            given[HOST] = UnitAttr()
    module, builder, arguments = open_main(
        [type_of(v) for v in [*region.inputs, *outputs]],
        attributes,
        [start] * len(names),
    )
    made: dict[int, Any] = dict(zip(region.inputs, arguments, strict=False))
    builder.location = start

    def operand(value: int) -> Any:
        if value < 0:
            return None
        if value not in made:
            kind, _, _, _, tensor, _ = region.values[value]
            assert kind == "number", f"value {value} of the trace is used before it is made"
            made[value] = builder.constant(_C.item_now(tensor))
        return made[value]

    with building(builder), uncollected():
        for node in region.nodes:
            if node.line is not None:
                builder.location = line_location(*node.line)
            builder.pin = pin_attribute(node.pin)
            given = [operand(v) for v in node.operands]
            results = _build(builder, node, given)
            made.update(zip(node.results, results, strict=True))
        builder.pin = None
        handed = [operand(v) for v in region.results]
        if outputs:
            builder.location = start
            wanted = [made[region.inputs[i]] for i in region.ties.wanted]
            cotangents = arguments[len(region.inputs) :]
            handed += builder.gradient([made[v] for v in outputs], cotangents, wanted)
    close_main(module, handed, region.writes, start)
    return module


def _build(builder: Any, node: Node, given: list[Any]) -> Sequence[Any]:
    if node.name is None:
        return builder.gradient(given[:1], given[1:2], given[2:])
    op = OPS[node.name]
    attrs = {p.name: v for p, v in zip(op.attrs, node.attrs, strict=True)}
    made = builder.apply_op(op, op.grouped(given), attrs)
    results: list[Any] = [*made] if isinstance(made, tuple) else [made]
    if node.no_grad and op.vjp_rule is not None and not op.name.endswith("_step"):
        results = [OPS["detach"](r) if r.dtype.is_floating_point else r for r in results]
    return results
