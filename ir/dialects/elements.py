"""Element types: what the dtypes of the op table are in IR."""

from __future__ import annotations

from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    IntegerType,
    Signedness,
    f64,
    i1,
)
from xdsl.ir import Attribute, TypeAttribute
from xdsl.utils.exceptions import VerifyException

from ..dtypes import BY_IR, DType

_ELEMENTS: dict[str, TypeAttribute] = {
    "i1": i1,
    "ui8": IntegerType(8, Signedness.UNSIGNED),
    **{f"i{n}": IntegerType(n) for n in (8, 16, 32, 64)},
    "f16": Float16Type(),
    "bf16": BFloat16Type(),
    "f32": Float32Type(),
    "f64": f64,
}
_DTYPES: dict[Attribute, DType] = {_ELEMENTS[name]: d for name, d in BY_IR.items()}


def element_type(dtype: DType) -> TypeAttribute:
    """The element type of tensors and buffers of `dtype`; `ui8` for uint8."""
    return _ELEMENTS[dtype.ir]


def find_dtype(element: Attribute) -> DType | None:
    """The dtype of an element type; None where no dtype has it."""
    return _DTYPES.get(element)


def dtype_of(element: Attribute) -> DType:
    """The dtype of an element type; VerifyException where no dtype has it."""
    dtype = _DTYPES.get(element)
    if dtype is None:
        raise VerifyException(f"element type {element}; it must be one of {', '.join(_ELEMENTS)}")
    return dtype
