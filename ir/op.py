"""The way to declare an op: a typed function, its signature the schema, its body the meaning."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, TypeGuard

from .dims import Dim
from .dtypes import DType, DTypeRule, Fixed, Promote, Same
from .errors import DTypeError
from .shapes import Broadcast, SameShape, ShapeRule

Sample = tuple[tuple[Any, ...], dict[str, Any]]
Rule = Callable[..., Any]

_OPERANDS = {
    "Tensor": "tensor",
    "Tensor | None": "optional_tensor",
    "tuple[Tensor, ...]": "tensors",
    "Rng": "rng",
}
_ATTRS = {
    "int": "int",
    "int | None": "int",
    "float": "float",
    "float | None": "float",
    "bool": "bool",
    "str": "str",
    "Device": "device",
    "DType": "dtype",
    "DType | None": "dtype",
    "Size": "size",
    "Sizes": "sizes",
    "Ints": "ints",
    "Ints | None": "ints",
}


# Names that PyTorch or the array API have for the parameters of these names.
_OTHER_NAMES = {
    "x": "input", "y": "other", "dim": "axis", "keepdim": "keepdims", "rng": "generator",
    "correction": "unbiased", "split_size_or_sections": "split_size",
}  # fmt: skip


@dataclass(frozen=True)
class Param:
    """One parameter of an op. `kind` is one of the values of the two tables above; kinds `size`
    and `sizes` are run-time values of a Program, all other attributes are part of its key."""

    name: str
    kind: str
    default: Any
    required: bool
    optional: bool

    @property
    def is_operand(self) -> bool:
        """True for tensors, lists of tensors and random states."""
        return self.kind in _OPERANDS.values()

    @property
    def other_name(self) -> str:
        """A second name that it may be given by, or nothing."""
        return _OTHER_NAMES.get(self.name, "")


@dataclass(frozen=True)
class Type:
    """What is known of a value: shape, dtype, and whether it is a Python number."""

    shape: tuple[int | Dim, ...]
    dtype: DType
    wrapped: bool = False

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)


class Value:
    """A value inside a body or a gradient rule; subclasses say what applying an op means."""

    shape: tuple[Any, ...]
    dtype: DType

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The result (or tuple of results) of `op` on values of this class."""
        raise AssertionError("apply_op is for subclasses")

    def __add__(self, o: Any) -> Any:
        return OPS["add"](self, o)

    def __radd__(self, o: Any) -> Any:
        return OPS["add"](o, self)

    def __sub__(self, o: Any) -> Any:
        return OPS["sub"](self, o)

    def __rsub__(self, o: Any) -> Any:
        return OPS["sub"](o, self)

    def __mul__(self, o: Any) -> Any:
        return OPS["mul"](self, o)

    def __rmul__(self, o: Any) -> Any:
        return OPS["mul"](o, self)

    def __truediv__(self, o: Any) -> Any:
        return OPS["div"](self, o)

    def __rtruediv__(self, o: Any) -> Any:
        return OPS["div"](o, self)

    def __neg__(self) -> Any:
        return OPS["neg"](self)


# A body is read over values, scalars or arrays: which, its kind says and no type.
Tensor = Any
Rng = Tensor
Device = str  # "cpu", "cuda:0"
Ints = tuple[int, ...]
Sizes = tuple[Any, ...]
Size = Any

OPS: dict[str, Op] = {}


@dataclass(eq=False)
class Op:
    """A declared op. `kind` is `pointwise`, `primitive`, `composite` or `function`.

    `autocast` says what becomes of its floating-point operands in an autocast region: `low` casts
    them to the region's dtype, `wide` to float32. `keyword` is an argument of PyTorch's that other
    ops around this one do: `dtype`, which x is cast to first, or `alpha`, which y is multiplied by.
    """

    name: str
    kind: str
    doc: str
    params: tuple[Param, ...]
    results: int
    body: Callable[..., Any]
    shape: tuple[ShapeRule, ...]
    dtype: tuple[DTypeRule, ...]
    compute: DTypeRule
    view: bool = False
    native: bool = False
    inplace: bool = False
    method: bool = True
    namespace: str = ""
    vjp_rule: Rule | None = None
    samples: Callable[[], Iterator[Sample]] | None = None
    elementwise: bool = False
    autocast: str = ""
    uncast: tuple[int, ...] = ()
    keyword: str = ""
    variants: dict[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])

    @property
    def is_pointwise(self) -> bool:
        """True when the body is written over scalars."""
        return self.kind == "pointwise"

    @cached_property
    def operands(self) -> tuple[Param, ...]:
        """The tensor parameters, in order."""
        return tuple(p for p in self.params if p.is_operand)

    @cached_property
    def attrs(self) -> tuple[Param, ...]:
        """The other parameters, in order."""
        return tuple(p for p in self.params if not p.is_operand)

    def takes_rest(self, at: int) -> bool:
        """True where the sizes at `at` may also come one by one: an int after them is never
        another argument."""
        lists = self.params[at].kind in ("sizes", "ints")
        return lists and all(p.kind != "int" for p in self.params[at + 1 :])

    @property
    def reduces(self) -> bool:
        """True for reductions over axes, where naming none means all."""
        return any(p.name == "keepdim" for p in self.params)

    @property
    def creates(self) -> bool:
        """True for functions that make a tensor of a dtype that the caller names."""
        return not self.method and any(p.name == "dtype" for p in self.params)

    def grouped(self, flat: Sequence[Any]) -> list[Any]:
        """Operands as the schema has them: those of a list operand in a tuple."""
        spare = len(flat) - len(self.operands) + 1
        rest = iter(flat)
        return [
            tuple(islice(rest, spare)) if p.kind == "tensors" else next(rest) for p in self.operands
        ]

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Operands in order, and every attribute by name with its default filled in."""
        given = dict(zip((p.name for p in self.params), args, strict=False)) | kwargs
        for p in self.params:
            if p.name not in given:
                if p.required:
                    raise TypeError(f"{self.name}: argument '{p.name}' is missing")
                given[p.name] = p.default
        operands = [given[p.name] for p in self.operands]
        return operands, {p.name: given[p.name] for p in self.attrs}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.kind == "function":
            return self.body(*args, **kwargs)
        operands, attrs = self.bind(args, kwargs)
        return _target(operands).apply_op(self, operands, attrs)

    def infer(self, operands: Sequence[Any], attrs: dict[str, Any]) -> list[Type]:
        """Result types from operand types (a list operand is a list of types, an absent one None).

        Raises ShapeError or DTypeError with the text that C++ raises for the same call.
        """
        flat: list[Any] = []
        for o in operands:
            flat += o if isinstance(o, (list, tuple)) else [o]
        shapes = [tuple(rule(self.name, operands, attrs)) for rule in self.shape]
        try:
            dtypes = [rule(flat, attrs) for rule in self.dtype]
        except DTypeError as error:
            raise DTypeError(f"{self.name}: {error}") from None
        return [Type(s, d) for s, d in zip(shapes, dtypes, strict=True)]

    def scalar_body(self, *operands: Any, **attrs: Any) -> Any:
        """The body of a pointwise op on scalars of its compute dtype."""
        assert self.is_pointwise, self.name
        return self.body(*operands, **attrs)

    def vjp(self, rule: Rule) -> Rule:
        """Attach the gradient rule `(g, y, *operands, **attrs) -> cotangents`."""
        self.vjp_rule = rule
        return rule

    def sampled(self, samples: Callable[[], Iterator[Sample]]) -> Callable[[], Iterator[Sample]]:
        """Attach the generator of test samples: (operands, attributes) pairs."""
        self.samples = samples
        return samples


class Builder:
    """Where ops without operands go; also says how a number becomes an operand."""

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The result of `op`."""
        raise AssertionError("apply_op is for subclasses")


class _Building(threading.local):
    """The builders of a thread, innermost last: threads derive Programs side by side."""

    def __init__(self) -> None:
        self.builders: list[Builder] = []


_building = _Building()
_eager: list[Builder] = []


def set_eager(builder: Builder) -> None:
    """Ops without operands are applied by `builder` outside of every `building`."""
    _eager[:] = [builder]


@contextmanager
def building(builder: Builder) -> Generator[Builder]:
    """Ops without operands called inside are applied by `builder`."""
    _building.builders.append(builder)
    try:
        yield builder
    finally:
        _building.builders.pop()


def current_builder() -> Builder | None:
    """The innermost `building`, None outside of any."""
    return _building.builders[-1] if _building.builders else None


def is_list(operand: Any) -> TypeGuard[Sequence[Any]]:
    """True for what stands for a list operand."""
    return isinstance(operand, (list, tuple))


def _target(operands: Sequence[Any]) -> Any:
    for o in operands:
        for v in o if is_list(o) else (o,):
            if hasattr(v, "apply_op"):
                return v
    if builder := current_builder():
        return builder
    if _eager:
        return _eager[-1]
    raise TypeError("an op was called on no values and outside of `building`")


def _params(fn: Callable[..., Any]) -> tuple[Param, ...]:
    made: list[Param] = []
    for p in inspect.signature(fn).parameters.values():
        note = p.annotation if isinstance(p.annotation, str) else p.annotation.__name__
        kind = _OPERANDS.get(note) or _ATTRS.get(note)
        if kind is None:
            raise TypeError(f"{fn.__name__}: parameter {p.name}: {note} has no schema kind")
        required = p.default is p.empty and kind not in ("optional_tensor", "rng")
        default = None if p.default is p.empty else p.default
        made.append(Param(p.name, kind, default, required, "None" in note))
    return tuple(made)


def _result_count(fn: Callable[..., Any]) -> int:
    note = str(fn.__annotations__.get("return", "Tensor"))
    return note.count("Tensor")


def _as_tuple(rule: Any, count: int) -> tuple[Any, ...]:
    return tuple(rule) if isinstance(rule, tuple) else (rule,) * count  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def declare(
    fn: Callable[..., Any], kind: str, shape: Any, dtype: Any, compute: Any = None, **flags: Any
) -> Op:
    """Enter `fn` into the table."""
    name = fn.__name__.rstrip("_")
    count = _result_count(fn)
    dtypes = _as_tuple(dtype, count)
    made = Op(
        name, kind, inspect.getdoc(fn) or "", _params(fn), count, fn,
        _as_tuple(shape, count), dtypes, compute or dtypes[0], **flags,
    )  # fmt: skip
    assert name not in OPS, f"op {name} is declared twice"
    assert made.doc, f"op {name} has no docstring"
    OPS[name] = made
    return made


def pointwise(
    *, dtype: DTypeRule = Promote(), compute: DTypeRule | None = None, inplace: bool = True,
    **flags: Any,
) -> Callable[[Callable[..., Any]], Op]:  # fmt: skip
    """An op whose body maps operand elements to a result element of `dtype`.

    Elements come cast to `compute` (by default `dtype`, or the promoted dtype where that is
    fixed), except operands listed in `uncast`. `variants` lists the values a string attribute
    may have.
    """
    compute = compute or (Promote() if isinstance(dtype, Fixed) else dtype)
    return lambda fn: declare(
        fn, "pointwise", Broadcast(), dtype, compute, inplace=inplace, **flags
    )


def primitive(
    *, shape: Any = SameShape(), dtype: Any = Same(), native: bool = True, **flags: Any
) -> Callable[[Callable[..., Any]], Op]:
    """An op with a native kernel; its body is the reference meaning over NumPy arrays."""
    return lambda fn: declare(fn, "primitive", shape, dtype, native=native, **flags)


def composite(
    *, shape: Any = SameShape(), dtype: Any = Same(), **flags: Any
) -> Callable[[Callable[..., Any]], Op]:
    """An op whose body in other ops is its meaning; `native=True` says a kernel claims it.

    `elementwise=True` says that the body is pointwise over operands of one shape and numbers: such
    an op fuses whole, whatever the number of its results.
    """
    return lambda fn: declare(fn, "composite", shape, dtype, **flags)


def function(**flags: Any) -> Callable[[Callable[..., Any]], Op]:
    """A Python function over ops that expands at the call and has no IR op of its own."""
    return lambda fn: declare(fn, "function", SameShape(), Same(), **flags)
