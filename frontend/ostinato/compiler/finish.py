"""The region that a capture recorded: where a replay finds inputs, and what it hands over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..runtime import _C
from .frames import user_frame
from .live import LiveNumber, Session
from .region import Node, Region, Source, Ties, Watching


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
    grads = _grads(changes, places, results)
    inputs, values = list(tracer.inputs()), list(tracer.values())
    position = {v: i for i, v in enumerate(inputs)}
    ends = [(position[target], value, recorded) for target, value, recorded in tracer.writes()]
    assigned = [(results.place(v), i) for i, v, recorded in ends if recorded]
    watched = _watched(tracer, session, results)
    kept_elsewhere = {p for _, p in grads} | {p for p, _ in assigned}
    spare = _spare(session, outputs, returned, watched) - kept_elsewhere
    shown = len(results.values)
    writes = [(results.add(v), i) for i, v, recorded in ends if not recorded]
    nodes, device = [Node(*n) for n in tracer.nodes()], str(tracer.device())
    return Region(
        nodes=nodes, values=values, inputs=inputs, results=results.values, writes=writes,
        sources=[("number", session.inputs[v]) if v in session.inputs else places.of(values[v][4])
                 for v in inputs],
        names=[names.get(id(values[v][4]), f"input{i}") for i, v in enumerate(inputs)],
        returned=returned, grads=grads, assigned=assigned,
        grad_guards=[(places.of(leaf), before is not None) for leaf, before, _, _ in changes],
        guards=session.guards, guard_lines=session.guard_lines,
        aliases=[(places.of(t), places.of(root), *how) for t, root, *how in tracer.aliases()],
        identical=places.identical(reads.tensors if reads else ()),
        layouts=[(places.of(t), strides) for t, strides in tracer.fixed_layouts()],
        reads=reads.finish(set(session.by_key)) if reads else [],
        read_lines=list(reads.lines.values()) if reads else [],
        ties=_ties(tracer, results.values[:shown], values, position),
        device=device, start=_start(nodes),
        on_host=[device != "cpu" and str(values[v][4].device) == "cpu" for v in inputs],
        watched=watched, spare=sorted(spare),
    )  # fmt: skip


def _grads(
    changes: Sequence[Any], places: _Places, results: _Results
) -> list[tuple[Source, int | None]]:
    """The leaves whose grad the region sets, each with the position of what it sets it to."""
    return [
        (places.of(leaf), None if value < 0 else results.place(value))
        for leaf, _, value, kept in changes
        if not kept
    ]


def _watched(tracer: Any, session: Session, results: _Results) -> list[Watching]:
    return [
        (f.channel, [results.place(tracer.value_of(t)) for t in f.parts], f.every, f.read)
        for f in session.feeds.fed
    ]


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
    live: dict[int, list[int]] = {}
    spent: list[int] = []
    for i, value in enumerate(shown):
        if _has_gradient(values[value]):
            leaves, released = tracer.path_of([value])
            if leaves and released:
                spent.append(i)
            elif leaves:
                live[i] = leaves
    wanted, _ = tracer.path_of([shown[i] for i in live])
    place = {v: i for i, v in enumerate(wanted)}
    reach = [sorted(place[v] for v in leaves) for leaves in live.values()]
    return Ties([*live], spent, [position[v] for v in wanted], reach)
