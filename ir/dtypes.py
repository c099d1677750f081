"""Element types, PyTorch's promotion lattice, and the combinators that make dtype rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import DTypeError


@dataclass(frozen=True)
class DType:
    """An element type. `code` is its id in C++, `category` orders bool < integer < float."""

    name: str
    code: int
    category: int
    bits: int
    signed: bool
    ir: str
    numpy: str

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return max(1, self.bits // 8)

    @property
    def is_floating_point(self) -> bool:
        """True for float16, bfloat16, float32 and float64."""
        return self.category == 2

    @property
    def is_integer(self) -> bool:
        """True for the integer types, bool excluded."""
        return self.category == 1

    def __repr__(self) -> str:
        return f"ostinato.{self.name}"


bool_ = DType("bool", 0, 0, 1, False, "i1", "bool")
uint8 = DType("uint8", 1, 1, 8, False, "ui8", "uint8")
int8 = DType("int8", 2, 1, 8, True, "i8", "int8")
int16 = DType("int16", 3, 1, 16, True, "i16", "int16")
int32 = DType("int32", 4, 1, 32, True, "i32", "int32")
int64 = DType("int64", 5, 1, 64, True, "i64", "int64")
float16 = DType("float16", 6, 2, 16, True, "f16", "float16")
bfloat16 = DType("bfloat16", 7, 2, 16, True, "bf16", "bfloat16")
float32 = DType("float32", 8, 2, 32, True, "f32", "float32")
float64 = DType("float64", 9, 2, 64, True, "f64", "float64")

DTYPES = (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)
BY_NAME = {d.name: d for d in DTYPES}
BY_IR = {d.ir: d for d in DTYPES}


def promote_types(a: DType, b: DType) -> DType:
    """The smallest dtype both convert to, as `torch.promote_types`."""
    if a is b:
        return a
    if a.category != b.category:
        return a if a.category > b.category else b
    if a.is_floating_point:
        return float32 if a.bits == b.bits else max(a, b, key=lambda d: d.bits)
    wide, narrow = (a, b) if a.bits >= b.bits else (b, a)
    if wide.signed or wide.signed == narrow.signed:
        return wide if wide.bits > narrow.bits or wide.signed == narrow.signed else int16
    return int16


class Typed(Protocol):
    """What a dtype rule sees of an operand; `wrapped` marks a Python number, 0-d by nature."""

    @property
    def dtype(self) -> DType: ...
    @property
    def ndim(self) -> int: ...
    @property
    def wrapped(self) -> bool: ...


def _rank(t: Typed) -> int:
    return 0 if t.wrapped else 1 if t.ndim == 0 else 2


def result_type(operands: Sequence[Typed]) -> DType:
    """PyTorch's promotion: dimensioned tensors first, then 0-d tensors, then numbers; a lower
    rank counts only where its category is higher."""
    best: DType | None = None
    for rank in (2, 1, 0):
        group: DType | None = None
        for t in operands:
            if _rank(t) == rank:
                d = _default_of(t.dtype) if t.wrapped else t.dtype
                group = d if group is None else promote_types(group, d)
        if group is not None and (best is None or group.category > best.category):
            best = group
    assert best is not None, "result_type needs an operand"
    return best


def _default_of(d: DType) -> DType:
    return float32 if d.is_floating_point else d


class DTypeRule(Protocol):
    """A dtype rule: Python form `__call__`, C++ form `cpp` (an expression over `call`).

    Operands are in schema order, lists spread out and absent ones None. DTypeErrors come without
    the op's name, which the caller puts in front.
    """

    def __call__(self, operands: Sequence[Any], attrs: dict[str, Any]) -> DType: ...
    def cpp(self, attr_index: dict[str, int]) -> str: ...


@dataclass(frozen=True)
class Promote:
    """The promoted dtype of the operands `which` (all when empty)."""

    which: tuple[int, ...] = ()

    def __call__(self, operands: Sequence[Any], attrs: dict[str, Any]) -> DType:
        chosen = [operands[i] for i in self.which] if self.which else operands
        return result_type([t for t in chosen if t is not None])

    def cpp(self, attr_index: dict[str, int]) -> str:
        return f"dtype_rule::promote(call, {{{', '.join(map(str, self.which))}}})"


@dataclass(frozen=True)
class PromoteFloat:
    """The promoted dtype of the operands; float32 where that is an integer or bool."""

    which: tuple[int, ...] = ()

    def __call__(self, operands: Sequence[Any], attrs: dict[str, Any]) -> DType:
        d = Promote(self.which)(operands, attrs)
        return d if d.is_floating_point else float32

    def cpp(self, attr_index: dict[str, int]) -> str:
        return f"dtype_rule::promote_float(call, {{{', '.join(map(str, self.which))}}})"


@dataclass(frozen=True)
class Same:
    """The dtype of operand `index`."""

    index: int = 0

    def __call__(self, operands: Sequence[Any], attrs: dict[str, Any]) -> DType:
        return operands[self.index].dtype

    def cpp(self, attr_index: dict[str, int]) -> str:
        return f"dtype_rule::same(call, {self.index})"


@dataclass(frozen=True)
class Fixed:
    """Always `dtype`."""

    dtype: DType

    def __call__(self, operands: Sequence[Any], attrs: dict[str, Any]) -> DType:
        return self.dtype

    def cpp(self, attr_index: dict[str, int]) -> str:
        return f"DType::{self.dtype.name}_"


@dataclass(frozen=True)
class FromAttr:
    """The dtype attribute `name`; where it is None, what `otherwise` says."""

    name: str = "dtype"
    otherwise: DTypeRule = Fixed(float32)

    def __call__(self, operands: Sequence[Any], attrs: dict[str, Any]) -> DType:
        given = attrs[self.name]
        return self.otherwise(operands, attrs) if given is None else given

    def cpp(self, attr_index: dict[str, int]) -> str:
        return (
            f"dtype_rule::from_attr(call, {attr_index[self.name]}, "
            f"[&] {{ return {self.otherwise.cpp(attr_index)}; }})"
        )


@dataclass(frozen=True)
class Summed:
    """The dtype of a sum: integers and bool add up in int64, floats keep their dtype."""

    index: int = 0

    def __call__(self, operands: Sequence[Any], attrs: dict[str, Any]) -> DType:
        d = operands[self.index].dtype
        return d if d.is_floating_point else int64

    def cpp(self, attr_index: dict[str, int]) -> str:
        return f"dtype_rule::summed(call, {self.index})"


@dataclass(frozen=True)
class Widened:
    """The dtype of operand `index`, float32 for the half types: what sums of it are kept in."""

    index: int = 0

    def __call__(self, operands: Sequence[Any], attrs: dict[str, Any]) -> DType:
        d = operands[self.index].dtype
        return float32 if d.is_floating_point and d.bits == 16 else d

    def cpp(self, attr_index: dict[str, int]) -> str:
        return f"dtype_rule::widened(call, {self.index})"


@dataclass(frozen=True)
class Agreed:
    """The one dtype that the operands `which` have; absent ones do not count."""

    which: tuple[int, ...]

    def __call__(self, operands: Sequence[Any], attrs: dict[str, Any]) -> DType:
        chosen = [operands[i].dtype for i in self.which if operands[i] is not None]
        for d in chosen:
            if d is not chosen[0]:
                raise DTypeError(
                    f"dtypes {chosen[0].name} and {d.name} differ; "
                    "convert one of the operands with `.to(dtype)`"
                )
        return chosen[0]

    def cpp(self, attr_index: dict[str, int]) -> str:
        return f"dtype_rule::agreed(call, {{{', '.join(map(str, self.which))}}})"


_KIND_NAMES = {
    "b": "bool",
    "i": "an integer dtype",
    "f": "a floating-point dtype",
    "if": "an integer or floating-point dtype",
    "bi": "bool or an integer dtype",
}


@dataclass(frozen=True)
class Only:
    """What `rule` says, where the dtype `of` (by default that of `rule`) is of one of `kinds`.

    `kinds` holds letters: b bool, i integer, f floating point. `what` names the operand that is
    looked at.
    """

    rule: DTypeRule
    kinds: str
    of: DTypeRule | None = None
    what: str = "input"

    def __call__(self, operands: Sequence[Any], attrs: dict[str, Any]) -> DType:
        d = (self.of or self.rule)(operands, attrs)
        if "bif"[d.category] not in self.kinds:
            needed = _KIND_NAMES[self.kinds]
            raise DTypeError(f"{self.what} has dtype {d.name}; give {needed}")
        return self.rule(operands, attrs)

    def cpp(self, attr_index: dict[str, int]) -> str:
        result, checked = (r.cpp(attr_index) for r in (self.rule, self.of or self.rule))
        needed = _KIND_NAMES[self.kinds]
        return (
            f'dtype_rule::only(call, {result}, {checked}, "{self.kinds}", "{self.what}", '
            f'"{needed}")'
        )
