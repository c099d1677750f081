"""`@compile` and `with capture()`: what to capture, when to replay, and what to give back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..ir.errors import CaptureError
from ..runtime import _C
from . import build as _build
from .effects import watched
from .live import LiveNumber, Session, _sessions
from .region import Region, finish
from .sources import find_source


@dataclass
class Variant:
    """One compiled form of a function: what it was captured for, and how to replay it."""

    built: _build.Built
    structure: Any  # of the result
    objects: list[Any] = field(default_factory=list[Any])  # given by id, which stays theirs
    calls: int = 0

    def __post_init__(self) -> None:
        self.replays = _C.Replay(self.built.program, self.region)

    @property
    def region(self) -> Region:
        """The captured region."""
        return self.built.region

    def fits(self, leaves: list[Any]) -> bool:
        """Whether everything that the capture relied on is as it was."""
        return self.replays.fits(leaves)

    def replay(self, leaves: list[Any]) -> Any:
        """Run the Program and hand out what it made."""
        self.calls += 1
        return _optree().tree_unflatten(self.structure, self.replays.run(leaves))


def _optree() -> Any:
    import optree

    return optree


class Compiled:
    """A function whose calls are captured once and replayed. Made by `compile`."""

    def __init__(self, fn: Callable[..., Any], fullgraph: bool = True) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.name = _name_of(fn)
        self.fullgraph = fullgraph
        self.variants: dict[Any, list[Variant]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _C.is_capturing():
            return self.fn(*args, **kwargs)
        leaves, structure = _optree().tree_flatten((args, kwargs), none_is_leaf=True)
        key = (structure, tuple(map(_signature, leaves)), _settings())
        for variant in self.variants.get(key, ()):
            if variant.fits(leaves):
                return variant.replay(leaves)
        variant = self._capture(leaves, structure)
        self.variants.setdefault(key, []).append(variant)
        return variant.replay(leaves)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def _capture(self, leaves: list[Any], structure: Any) -> Variant:
        _expect_compiling(leaves)
        region, result = trace(self.fn, leaves, structure)
        built = _build.build(region, self.name)
        objects = [x for x in leaves if _signature(x) == ("object", id(x))]
        variant = Variant(built, result, objects)
        if not variant.replays.are_apart(leaves):
            raise CaptureError(
                f"{self.name}: a tensor that the function changes in place shares memory with "
                "another one that it uses; clone() one of them"
            )
        return variant

    def ir(self, stage: str = "fused") -> str:
        """The IR of the newest variant after `stage`, as text that parses back."""
        built = self._newest().built
        texts = built.dumps = built.dumps or _build.stages(built.region)
        if stage not in texts:
            raise ValueError(f"ir: stage '{stage}' came; give one of {', '.join(texts)}")
        return texts[stage]

    def explain(self) -> str:
        """What became of the function: regions, kernels, calls, memory, and what making it took."""
        lines: list[str] = []
        every = [v for found in self.variants.values() for v in found]
        for i, variant in enumerate(every):
            lines += _explained(i, variant)
        return "\n".join(lines) or "not captured yet: call the function first"

    def _newest(self) -> Variant:
        every = [v for found in self.variants.values() for v in found]
        if not every:
            raise CaptureError(f"{self.fn.__name__}: not captured yet; call the function first")
        return every[-1]


def _name_of(fn: Callable[..., Any]) -> str:
    """`f` or `Net.forward`; what encloses a function is left out."""
    name: str = getattr(fn, "__qualname__", type(fn).__name__)
    return name.rpartition("<locals>.")[2]


def _expect_compiling(leaves: Sequence[Any]) -> None:
    """Starts the compiler of GPU kernels where an argument lies on a GPU: it takes a second, which
    is that of the capture and the passes."""
    if any(str(getattr(leaf, "device", "cpu")).startswith("cuda") for leaf in leaves):
        from ..codegen.triton import client

        if client.is_installed():
            client.start()


def _explained(number: int, variant: Variant) -> list[str]:
    spec, seconds = variant.built.spec, variant.built.seconds
    launches = [s for s in spec["instructions"] if s["kind"] == "launch"]
    calls = [s["op"] for s in spec["instructions"] if s["kind"] == "call"]
    counted = ", ".join(f"{calls.count(c)} {c}" for c in dict.fromkeys(calls))
    took = ", ".join(f"{name} {s * 1e3:.0f} ms" for name, s in seconds.items())
    return [
        f"variant {number}: {variant.calls} calls",
        f"  {len(launches)} launches of {len(spec['kernels'])} kernels; library calls: {counted}",
        f"  inputs {len(spec['inputs'])}, results {len(spec['outputs'])}, "
        f"intermediates {spec['arena'] / 2**20:.2f} MiB",
        f"  {'loaded from the cache' if variant.built.from_cache else 'compiled'}: {took}",
    ]


def _settings() -> Any:
    """What the thread or process has set that changes what ops do."""
    device = id(_C.device_of(None))  # there is one object a device
    return _C.grad_enabled(), _C.autocast(), device, _C.float32_matmul_precision()


def _signature(leaf: Any) -> Any:
    if isinstance(leaf, _C.Tensor):
        return (
            "tensor", leaf.shape, leaf.dtype.name, leaf.requires_grad, leaf.is_leaf, leaf.device
        )  # fmt: skip
    if isinstance(leaf, (bool, str, bytes)) or leaf is None:
        return leaf
    if isinstance(leaf, (int, float)):
        return type(leaf).__name__
    return ("object", id(leaf))


def trace(fn: Callable[..., Any], leaves: Sequence[Any], structure: Any) -> tuple[Region, Any]:
    """Capture one call: the region, and the structure of the result."""
    tracer = _C.Tracer()
    session = Session(tracer)
    given = [_stand_in(session, i, leaf) for i, leaf in enumerate(leaves)]
    args, kwargs = _optree().tree_unflatten(structure, given)
    with _capturing(tracer, session):
        for leaf in leaves:
            if isinstance(leaf, _C.Tensor):
                tracer.add_input(leaf)
        with watched(fn, leaves) as session.reads:
            result = fn(*args, **kwargs)
        flat, shape = _optree().tree_flatten(result, none_is_leaf=True)
        names = _names(fn, args, kwargs)
        region = finish(tracer, session, leaves, flat, names)
    return region, shape


@contextmanager
def _capturing(tracer: Any, session: Session) -> Generator[None]:
    _C.set_number_hook(find_source)
    _sessions.append(session)
    tracer.start()
    try:
        yield
    finally:
        tracer.stop()
        _sessions.pop()


def _stand_in(session: Session, index: int, leaf: Any) -> Any:
    if isinstance(leaf, (int, float)) and not isinstance(leaf, bool):
        return LiveNumber(session, leaf, _C.Path.argument(index))
    return leaf


def _names(fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> dict[int, str]:
    """Names of tensors for dumps: arguments, and parameters of modules in the closure."""
    import inspect

    found: dict[int, str] = {}
    spaces = dict(inspect.getclosurevars(fn).nonlocals) if inspect.isfunction(fn) else {}
    owner = getattr(fn, "__self__", None)
    if owner is not None:
        spaces["self"] = owner
    for name, value in spaces.items():
        named = getattr(value, "named_parameters", None)
        if callable(named):
            found |= {id(p): f"{name}.{path}" for path, p in named()}  # pyright: ignore
    try:
        bound = inspect.signature(fn).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        bound = {}
    found |= {id(v): k for k, v in bound.items() if isinstance(v, _C.Tensor)}
    return found


def compile(fn: Callable[..., Any] | None = None, *, fullgraph: bool = True) -> Any:
    """A decorator: calls of `fn` are captured on first sight, compiled, and then replayed.

    Gradients, in-place changes and optimizer steps inside are part of the region. Tensors that
    `fn` reads without getting them as arguments become inputs; Python numbers used as values stay
    live. CaptureError names the line where a value is needed in the middle or where a replay would
    leave something out. A new shape or dtype of an argument captures a new variant.
    """
    if fn is None:
        return functools.partial(compile, fullgraph=fullgraph)
    from ..nn import Module

    if isinstance(fn, Module):
        return Compiled(fn.forward, fullgraph)
    return Compiled(fn, fullgraph)


class Capture:
    """A region without a function; see `capture`."""

    region: Region | None = None

    def ir(self, stage: str = "captured") -> str:
        """The region after `stage`, as text."""
        assert self.region is not None, "the region is not finished"
        return _build.stages(self.region)[stage]


@contextmanager
def capture() -> Generator[Capture]:
    """Capture what is done inside; at the end it is compiled and run, and every tensor that the
    region wrote or made and that is still held has its value."""
    tracer = _C.Tracer()
    session = Session(tracer)
    made = Capture()
    with _capturing(tracer, session):
        yield made
        held = list(tracer.held())
        made.region = finish(tracer, session, (), held, {})
    variant = Variant(_build.build(made.region, "capture"), None)
    for tensor, value in zip(held, variant.replays.run([]), strict=True):
        _C.give_value(tensor, value)
        _C.take_place(tensor, value)
