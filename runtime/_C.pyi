# Printed from ir/ops by runtime/native/generate/stubs.py (make stubs).
# The imports are those that any table may need.
# pyright: reportUnusedImport=false
"""The native runtime."""

from collections.abc import Callable, Iterator, Sequence
from types import FrameType, ModuleType
from typing import Any, Literal, Self, TypeAlias, overload

from numpy.typing import NDArray

from ..device import device
from ..ir.dtypes import DType

# Methods of Tensor hide these names inside of it.
_bool: TypeAlias = bool
_float: TypeAlias = float
_int: TypeAlias = int
_str: TypeAlias = str

ops: ModuleType

class Tensor:
    """An n-dimensional array of one dtype on one device."""

    def __new__(cls, tensor: Tensor, requires_grad: _bool = False) -> Self: ...
    requires_grad: _bool
    grad: Tensor | None
    data: Tensor
    @property
    def shape(self) -> tuple[_int, ...]: ...
    @property
    def dtype(self) -> DType: ...
    @property
    def ndim(self) -> _int: ...
    @property
    def is_leaf(self) -> _bool: ...
    @property
    def device(self) -> device: ...
    @property
    def is_cuda(self) -> _bool: ...
    @property
    def T(self) -> Tensor: ...
    @property
    def _version(self) -> _int: ...
    @overload
    def size(self, dim: None = None) -> tuple[_int, ...]: ...
    @overload
    def size(self, dim: _int) -> _int: ...
    @overload
    def stride(self, dim: None = None) -> tuple[_int, ...]: ...
    @overload
    def stride(self, dim: _int) -> _int: ...
    def dim(self) -> _int: ...
    def numel(self) -> _int: ...
    def element_size(self) -> _int: ...
    def storage_offset(self) -> _int: ...
    def data_ptr(self) -> _int: ...
    def is_contiguous(self) -> _bool: ...
    def is_floating_point(self) -> _bool: ...
    def numpy(self) -> NDArray[Any]: ...
    def tolist(self) -> Any: ...
    def item(self) -> _int | _float | _bool: ...
    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: _bool | None = None,
        create_graph: _bool = False,
    ) -> None: ...
    def requires_grad_(self, requires_grad: _bool = True) -> Self: ...
    def zero_(self) -> Self: ...
    def where(self, condition: Tensor, other: Tensor | _float) -> Tensor: ...
    def to(
        self,
        *args: DType | Tensor | device | _str | _bool | None,
        dtype: DType | None = None,
        device: device | _str | None = None,
        non_blocking: _bool = False,
    ) -> Tensor: ...
    def cpu(self) -> Tensor: ...
    def cuda(
        self, device: device | _str | _int | None = None, non_blocking: _bool = False
    ) -> Tensor: ...
    def pin_memory(self) -> Tensor: ...
    def is_pinned(self) -> _bool: ...
    def record_stream(self, stream: Any) -> None: ...
    def copy_(self, src: Tensor | _float, non_blocking: _bool = False) -> Self: ...
    def type_as(self, other: Tensor, /) -> Tensor: ...
    def float(self) -> Tensor: ...
    def double(self) -> Tensor: ...
    def half(self) -> Tensor: ...
    def bfloat16(self) -> Tensor: ...
    def contiguous(self) -> Tensor: ...
    def long(self) -> Tensor: ...
    def int(self) -> Tensor: ...
    def bool(self) -> Tensor: ...
    def apply_op(self, op: Any, operands: Sequence[Any], attrs: dict[_str, Any]) -> Any: ...
    def __add__(self, other: Tensor | _float) -> Tensor: ...
    def __radd__(self, other: _float) -> Tensor: ...
    def __iadd__(self, other: Tensor | _float) -> Self: ...
    def __sub__(self, other: Tensor | _float) -> Tensor: ...
    def __rsub__(self, other: _float) -> Tensor: ...
    def __isub__(self, other: Tensor | _float) -> Self: ...
    def __mul__(self, other: Tensor | _float) -> Tensor: ...
    def __rmul__(self, other: _float) -> Tensor: ...
    def __imul__(self, other: Tensor | _float) -> Self: ...
    def __truediv__(self, other: Tensor | _float) -> Tensor: ...
    def __rtruediv__(self, other: _float) -> Tensor: ...
    def __itruediv__(self, other: Tensor | _float) -> Self: ...
    def __ifloordiv__(self, other: Tensor | _float) -> Self: ...
    def __imod__(self, other: Tensor | _float) -> Self: ...
    def __ipow__(self, other: Tensor | _float) -> Self: ...
    def __iand__(self, other: Tensor | _int) -> Self: ...
    def __ior__(self, other: Tensor | _int) -> Self: ...
    def __ixor__(self, other: Tensor | _int) -> Self: ...
    def __floordiv__(self, other: Tensor | _float) -> Tensor: ...
    def __rfloordiv__(self, other: _float) -> Tensor: ...
    def __mod__(self, other: Tensor | _float) -> Tensor: ...
    def __rmod__(self, other: _float) -> Tensor: ...
    def __pow__(self, other: Tensor | _float) -> Tensor: ...
    def __rpow__(self, other: _float) -> Tensor: ...
    def __matmul__(self, other: Tensor) -> Tensor: ...
    def __rmatmul__(self, other: Tensor) -> Tensor: ...
    def __and__(self, other: Tensor | _int) -> Tensor: ...
    def __rand__(self, other: _int) -> Tensor: ...
    def __or__(self, other: Tensor | _int) -> Tensor: ...
    def __ror__(self, other: _int) -> Tensor: ...
    def __xor__(self, other: Tensor | _int) -> Tensor: ...
    def __rxor__(self, other: _int) -> Tensor: ...
    def __pos__(self) -> Self: ...
    def __neg__(self) -> Tensor: ...
    def __abs__(self) -> Tensor: ...
    def __invert__(self) -> Tensor: ...
    # Unlike those of object, these give a tensor.
    def __eq__(self, other: Any) -> Tensor: ...  # pyright: ignore[reportIncompatibleMethodOverride]
    def __ne__(self, other: Any) -> Tensor: ...  # pyright: ignore[reportIncompatibleMethodOverride]
    def __lt__(self, other: Tensor | _float) -> Tensor: ...
    def __le__(self, other: Tensor | _float) -> Tensor: ...
    def __gt__(self, other: Tensor | _float) -> Tensor: ...
    def __ge__(self, other: Tensor | _float) -> Tensor: ...
    def __hash__(self) -> _int: ...
    def __getitem__(self, index: Any) -> Tensor: ...
    def __setitem__(self, index: Any, value: Tensor | _float) -> None: ...
    def __len__(self) -> _int: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __bool__(self) -> _bool: ...
    def __float__(self) -> _float: ...
    def __int__(self) -> _int: ...
    def __index__(self) -> _int: ...
    def __array__(self, dtype: Any = None, copy: _bool | None = None) -> NDArray[Any]: ...
    def __dlpack__(self, *, stream: _int | None = None, **_: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[_int, _int]: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: dict[_int, Any]) -> Self: ...
    # The methods of the op table.
    def eq(self, y: Tensor | _float) -> Tensor:
        """Whether x equals y, as bool."""
    def eq_(self, y: Tensor | _float) -> Self:
        """`eq` in place."""
    def ne(self, y: Tensor | _float) -> Tensor:
        """Whether x differs from y, as bool."""
    def ne_(self, y: Tensor | _float) -> Self:
        """`ne` in place."""
    def lt(self, y: Tensor | _float) -> Tensor:
        """Whether x is less than y, as bool."""
    def lt_(self, y: Tensor | _float) -> Self:
        """`lt` in place."""
    def le(self, y: Tensor | _float) -> Tensor:
        """Whether x is at most y, as bool."""
    def le_(self, y: Tensor | _float) -> Self:
        """`le` in place."""
    def gt(self, y: Tensor | _float) -> Tensor:
        """Whether x is greater than y, as bool."""
    def gt_(self, y: Tensor | _float) -> Self:
        """`gt` in place."""
    def ge(self, y: Tensor | _float) -> Tensor:
        """Whether x is at least y, as bool."""
    def ge_(self, y: Tensor | _float) -> Self:
        """`ge` in place."""
    def logical_and(self, y: Tensor | _float) -> Tensor:
        """Whether neither x nor y is zero, as bool."""
    def logical_and_(self, y: Tensor | _float) -> Self:
        """`logical_and` in place."""
    def logical_or(self, y: Tensor | _float) -> Tensor:
        """Whether x or y is not zero, as bool."""
    def logical_or_(self, y: Tensor | _float) -> Self:
        """`logical_or` in place."""
    def logical_xor(self, y: Tensor | _float) -> Tensor:
        """Whether exactly one of x and y is not zero, as bool."""
    def logical_xor_(self, y: Tensor | _float) -> Self:
        """`logical_xor` in place."""
    def logical_not(self) -> Tensor:
        """Whether x is zero, as bool."""
    def logical_not_(self) -> Self:
        """`logical_not` in place."""
    def bitwise_and(self, y: Tensor | _float) -> Tensor:
        """The bits set in both x and y, of integers or bools."""
    def bitwise_and_(self, y: Tensor | _float) -> Self:
        """`bitwise_and` in place."""
    def bitwise_or(self, y: Tensor | _float) -> Tensor:
        """The bits set in x or y, of integers or bools."""
    def bitwise_or_(self, y: Tensor | _float) -> Self:
        """`bitwise_or` in place."""
    def bitwise_xor(self, y: Tensor | _float) -> Tensor:
        """The bits set in exactly one of x and y, of integers or bools."""
    def bitwise_xor_(self, y: Tensor | _float) -> Self:
        """`bitwise_xor` in place."""
    def bitwise_not(self) -> Tensor:
        """x with every bit flipped, of integers or bools."""
    def bitwise_not_(self) -> Self:
        """`bitwise_not` in place."""
    def isnan(self) -> Tensor:
        """Whether x is NaN, as bool."""
    def isinf(self) -> Tensor:
        """Whether x is an infinity, as bool."""
    def isfinite(self) -> Tensor:
        """Whether x is neither NaN nor an infinity, as bool."""
    def masked_fill(self, mask: Tensor | _float, value: Tensor | _float) -> Tensor:
        """`value`, converted to the dtype of x, where the bool `mask` holds, else x."""
    def masked_fill_(self, mask: Tensor | _float, value: Tensor | _float) -> Self:
        """`masked_fill` in place."""
    def clone(self) -> Tensor:
        """A copy of x in memory of its own."""
    def copy(self, src: Tensor | _float) -> Tensor:
        """`src` converted to the dtype of x; in place, x takes the values of `src`."""
    def fill(self, value: Tensor | _float) -> Tensor:
        """A tensor like x, every element the 0-d `value`."""
    def fill_(self, value: Tensor | _float) -> Self:
        """`fill` in place."""
    def sqrt(self) -> Tensor:
        """The square root of x."""
    def sqrt_(self) -> Self:
        """`sqrt` in place."""
    def rsqrt(self) -> Tensor:
        """1 / sqrt(x)."""
    def rsqrt_(self) -> Self:
        """`rsqrt` in place."""
    def exp(self) -> Tensor:
        """e raised to the power x."""
    def exp_(self) -> Self:
        """`exp` in place."""
    def exp2(self) -> Tensor:
        """2 raised to the power x."""
    def exp2_(self) -> Self:
        """`exp2` in place."""
    def expm1(self) -> Tensor:
        """exp(x) - 1, accurate near 0."""
    def expm1_(self) -> Self:
        """`expm1` in place."""
    def log(self) -> Tensor:
        """The natural logarithm of x."""
    def log_(self) -> Self:
        """`log` in place."""
    def log2(self) -> Tensor:
        """The logarithm of x to the base 2."""
    def log2_(self) -> Self:
        """`log2` in place."""
    def log1p(self) -> Tensor:
        """log(1 + x), accurate near 0."""
    def log1p_(self) -> Self:
        """`log1p` in place."""
    def sin(self) -> Tensor:
        """The sine of x, in radians."""
    def sin_(self) -> Self:
        """`sin` in place."""
    def cos(self) -> Tensor:
        """The cosine of x, in radians."""
    def cos_(self) -> Self:
        """`cos` in place."""
    def tan(self) -> Tensor:
        """The tangent of x, in radians."""
    def tan_(self) -> Self:
        """`tan` in place."""
    def tanh(self) -> Tensor:
        """The hyperbolic tangent of x."""
    def tanh_(self) -> Self:
        """`tanh` in place."""
    def erf(self) -> Tensor:
        """The error function of x, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    def erf_(self) -> Self:
        """`erf` in place."""
    def sigmoid(self) -> Tensor:
        """1 / (1 + exp(-x))."""
    def sigmoid_(self) -> Self:
        """`sigmoid` in place."""
    def relu(self) -> Tensor:
        """x where it is positive, else 0; NaN stays."""
    def relu_(self) -> Self:
        """`relu` in place."""
    def silu_(self) -> Self:
        """`silu` in place."""
    def sign(self) -> Tensor:
        """-1, 0 or 1 as x is negative, zero (or NaN) or positive."""
    def sign_(self) -> Self:
        """`sign` in place."""
    def floor(self) -> Tensor:
        """The largest whole number not above x."""
    def floor_(self) -> Self:
        """`floor` in place."""
    def ceil(self) -> Tensor:
        """The smallest whole number not below x."""
    def ceil_(self) -> Self:
        """`ceil` in place."""
    def trunc(self) -> Tensor:
        """x without its fraction."""
    def trunc_(self) -> Self:
        """`trunc` in place."""
    def round(self) -> Tensor:
        """The whole number nearest to x; halves go to the even one."""
    def round_(self) -> Self:
        """`round` in place."""
    def add(self, y: Tensor | _float, *, alpha: _float = 1) -> Tensor:
        """x + y; of two bools, whether either holds."""
    def add_(self, y: Tensor | _float, *, alpha: _float = 1) -> Self:
        """`add` in place."""
    def sub(self, y: Tensor | _float, *, alpha: _float = 1) -> Tensor:
        """x - y; not for two bools."""
    def sub_(self, y: Tensor | _float, *, alpha: _float = 1) -> Self:
        """`sub` in place."""
    def mul(self, y: Tensor | _float) -> Tensor:
        """x * y; of two bools, whether both hold."""
    def mul_(self, y: Tensor | _float) -> Self:
        """`mul` in place."""
    def div(self, y: Tensor | _float) -> Tensor:
        """x / y, in floating point."""
    def div_(self, y: Tensor | _float) -> Self:
        """`div` in place."""
    def floor_divide(self, y: Tensor | _float) -> Tensor:
        """x / y rounded down, in the dtype of the operands; an integer divided by 0 is 0."""
    def floor_divide_(self, y: Tensor | _float) -> Self:
        """`floor_divide` in place."""
    def remainder(self, y: Tensor | _float) -> Tensor:
        """x modulo y with the sign of y; an integer modulo 0 is 0."""
    def remainder_(self, y: Tensor | _float) -> Self:
        """`remainder` in place."""
    def pow(self, y: Tensor | _float) -> Tensor:
        """x raised to the power y, in the dtype of the operands."""
    def pow_(self, y: Tensor | _float) -> Self:
        """`pow` in place."""
    def maximum(self, y: Tensor | _float) -> Tensor:
        """The larger of x and y; NaN if either is NaN."""
    def maximum_(self, y: Tensor | _float) -> Self:
        """`maximum` in place."""
    def minimum(self, y: Tensor | _float) -> Tensor:
        """The smaller of x and y; NaN if either is NaN."""
    def minimum_(self, y: Tensor | _float) -> Self:
        """`minimum` in place."""
    def neg(self) -> Tensor:
        """-x."""
    def neg_(self) -> Self:
        """`neg` in place."""
    def abs(self) -> Tensor:
        """The absolute value of x."""
    def abs_(self) -> Self:
        """`abs` in place."""
    def square(self) -> Tensor:
        """x * x."""
    def square_(self) -> Self:
        """`square` in place."""
    def reciprocal(self) -> Tensor:
        """1 / x, in floating point."""
    def reciprocal_(self) -> Self:
        """`reciprocal` in place."""
    def lerp(self, end: Tensor | _float, weight: Tensor | _float) -> Tensor:
        """x + weight * (end - x), written from the nearer end."""
    def lerp_(self, end: Tensor | _float, weight: Tensor | _float) -> Self:
        """`lerp` in place."""
    def addcmul(self, tensor1: Tensor | _float, tensor2: Tensor | _float, value: Tensor | _float = 1) -> Tensor:
        """x + value * tensor1 * tensor2."""
    def addcmul_(self, tensor1: Tensor | _float, tensor2: Tensor | _float, value: Tensor | _float = 1) -> Self:
        """`addcmul` in place."""
    def addcdiv(self, tensor1: Tensor | _float, tensor2: Tensor | _float, value: Tensor | _float = 1) -> Tensor:
        """x + value * tensor1 / tensor2, in floating point."""
    def addcdiv_(self, tensor1: Tensor | _float, tensor2: Tensor | _float, value: Tensor | _float = 1) -> Self:
        """`addcdiv` in place."""
    def clamp(self, min: Tensor | _float | None = None, max: Tensor | _float | None = None) -> Tensor:
        """x limited to at least `min` and at most `max`; `max` wins where they cross, NaN stays."""
    def clamp_(self, min: Tensor | _float | None = None, max: Tensor | _float | None = None) -> Self:
        """`clamp` in place."""
    @overload
    def reshape(self, shape: _int | Sequence[_int]) -> Tensor:
        """The elements of x in row-major order under `shape`, one size of which may be -1; a view
        where the strides allow it, else a copy."""
    @overload
    def reshape(self, *shape: _int) -> Tensor:
        """The elements of x in row-major order under `shape`, one size of which may be -1; a view
        where the strides allow it, else a copy."""
    @overload
    def view(self, shape: _int | Sequence[_int]) -> Tensor:
        """`reshape` that is never a copy; an error where the strides do not allow it."""
    @overload
    def view(self, *shape: _int) -> Tensor:
        """`reshape` that is never a copy; an error where the strides do not allow it."""
    @overload
    def permute(self, dims: _int | Sequence[_int]) -> Tensor:
        """x with its axes in the order `dims`."""
    @overload
    def permute(self, *dims: _int) -> Tensor:
        """x with its axes in the order `dims`."""
    def transpose(self, dim0: _int, dim1: _int) -> Tensor:
        """x with two axes exchanged."""
    @overload
    def expand(self, size: _int | Sequence[_int]) -> Tensor:
        """x with axes of size 1 repeated to `size`, and new axes in front; -1 keeps a size."""
    @overload
    def expand(self, *size: _int) -> Tensor:
        """x with axes of size 1 repeated to `size`, and new axes in front; -1 keeps a size."""
    def squeeze(self, dim: _int | Sequence[_int] | None = None) -> Tensor:
        """x without the axes `dim` that have size 1 (None: without every axis of size 1)."""
    def unsqueeze(self, dim: _int) -> Tensor:
        """x with an axis of size 1 inserted at `dim`."""
    def detach(self) -> Tensor:
        """x as a constant: no gradient flows through it."""
    def flatten(self, start_dim: _int = 0, end_dim: _int = -1) -> Tensor:
        """x with its axes `start_dim` to `end_dim` made one."""
    def unflatten(self, dim: _int, sizes: _int | Sequence[_int]) -> Tensor:
        """x with axis `dim` split into axes of `sizes`, one of which may be -1."""
    def t(self) -> Tensor:
        """A matrix transposed; vectors and 0-d tensors as they are. ShapeError for more axes."""
    def matmul(self, y: Tensor | _float) -> Tensor:
        """The matrix product: 1-d operands are vectors, leading axes broadcast. Half types are
        multiplied and added up in float32."""
    def select(self, dim: _int, index: _int) -> Tensor:
        """Element `index` along `dim`, without that axis; a negative index counts from the end."""
    def narrow(self, dim: _int, start: _int, length: _int) -> Tensor:
        """`length` elements along `dim` from `start`."""
    def slice_scatter(self, src: Tensor | _float, dim: _int, start: _int, stop: _int, step: _int = 1) -> Tensor:
        """x with the elements that `slice` would give replaced by `src`, broadcast and converted."""
    def select_scatter(self, src: Tensor | _float, dim: _int, index: _int) -> Tensor:
        """x with the elements that `select` would give replaced by `src`, broadcast and converted."""
    def split(self, split_size_or_sections: _int | Sequence[_int], dim: _int = 0) -> tuple[Tensor, ...]:
        """Views of x cut along `dim`, of one size (the last may be smaller) or of the given sizes."""
    def chunk(self, chunks: _int, dim: _int = 0) -> tuple[Tensor, ...]:
        """At most `chunks` views of x of equal size along `dim`, the last of which may be smaller."""
    def unbind(self, dim: _int = 0) -> tuple[Tensor, ...]:
        """Views of x at each index along `dim`, without that axis."""
    @overload
    def flip(self, dims: _int | Sequence[_int]) -> Tensor:
        """A copy of x with the order of elements along `dims` reversed."""
    @overload
    def flip(self, *dims: _int) -> Tensor:
        """A copy of x with the order of elements along `dims` reversed."""
    def tril(self, diagonal: _int = 0) -> Tensor:
        """The elements of each matrix (the last two axes) on and below a diagonal, else 0."""
    def tril_(self, diagonal: _int = 0) -> Self:
        """`tril` in place."""
    def triu(self, diagonal: _int = 0) -> Tensor:
        """The elements of each matrix (the last two axes) on and above a diagonal, else 0."""
    def triu_(self, diagonal: _int = 0) -> Self:
        """`triu` in place."""
    def multinomial(self, num_samples: _int, replacement: _bool = False, generator: Generator | None = None) -> Tensor:
        """Indices drawn with probability proportional to the weights of each row (the last axis).

        With replacement, sample j of a row is the first index whose running sum exceeds the uniform
        number of the sample times the sum of the row. Without, index k of a row has the key
        -ln(u) / weight of its own number u in (0, 1]; the smallest keys are drawn, in order.
        ValueError for negative weights, and where a row has too few that are positive."""
    def bernoulli(self, generator: Generator | None = None) -> Tensor:
        """1 with the probability that `input` holds, else 0: 1 where the uniform number is below."""
    def sum(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, dtype: DType | None = None) -> Tensor:
        """The sum of the elements along `dim` (all axes for None); integers add up in int64."""
    def prod(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, dtype: DType | None = None) -> Tensor:
        """The product of the elements along `dim` (all axes for None); integers multiply in int64."""
    def amax(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False) -> Tensor:
        """The largest element along `dim` (all axes for None); NaN if there is one."""
    def amin(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False) -> Tensor:
        """The smallest element along `dim` (all axes for None); NaN if there is one."""
    def argmax(self, dim: _int | None = None, keepdim: _bool = False) -> Tensor:
        """Where the first largest element along `dim` is, as int64; in the flattened x for None."""
    def argmin(self, dim: _int | None = None, keepdim: _bool = False) -> Tensor:
        """Where the first smallest element along `dim` is, as int64; in the flattened x for None."""
    def any(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False) -> Tensor:
        """Whether some element along `dim` (all axes for None) is not zero, as bool."""
    def all(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False) -> Tensor:
        """Whether no element along `dim` (all axes for None) is zero, as bool."""
    def cumsum(self, dim: _int, *, dtype: DType | None = None) -> Tensor:
        """The sums of the elements along `dim` up to and with each; integers add up in int64."""
    def gather(self, dim: _int, index: Tensor | _float) -> Tensor:
        """Element (i, j, ...) is that of x with the index along `dim` replaced by index[i, j, ...].

        `index` (integers) has the rank of x and is no longer along the other axes. IndexError out of
        range."""
    def scatter_add(self, dim: _int, index: Tensor | _float, src: Tensor | _float) -> Tensor:
        """x with each src[i, j, ...] added at (i, j, ...), the index along `dim` replaced by
        index[i, j, ...].

        `index` (integers) has the rank of x and of src and is no longer than either. IndexError out of
        range."""
    def scatter_add_(self, dim: _int, index: Tensor | _float, src: Tensor | _float) -> Self:
        """`scatter_add` in place."""
    def index_select(self, dim: _int, index: Tensor | _float) -> Tensor:
        """The elements along `dim` at `index` (integers of any shape, which takes the axis's place).
        IndexError out of range."""
    def index_add(self, dim: _int, index: Tensor | _float, source: Tensor | _float) -> Tensor:
        """x with the elements of `source` along `dim` added at `index` (integers; shaped as
        `index_select` gives them). IndexError out of range."""
    def index_add_(self, dim: _int, index: Tensor | _float, source: Tensor | _float) -> Self:
        """`index_add` in place."""
    def as_strided(self, size: _int | Sequence[_int], stride: _int | Sequence[_int], storage_offset: _int = 0) -> Tensor:
        """Element (i, j, ...) is element storage_offset + i stride[0] + j stride[1] + ... of the
        memory of x, taken as contiguous where x is a value; IndexError outside of it."""
    def as_strided_scatter(self, src: Tensor | _float, size: _int | Sequence[_int], stride: _int | Sequence[_int], storage_offset: _int = 0) -> Tensor:
        """x with the elements that `as_strided` would give replaced by `src`, broadcast and
        converted; where several lie on one place, the last wins."""
    def mean(self, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False, *, dtype: DType | None = None) -> Tensor:
        """The mean of the elements along `dim` (all axes for None)."""
    def var(self, dim: _int | Sequence[_int] | None = None, correction: _float = 1.0, keepdim: _bool = False) -> Tensor:
        """The mean squared distance from the mean along `dim` (all axes for None), with a divisor
        `correction` less than the number of elements."""
    def std(self, dim: _int | Sequence[_int] | None = None, correction: _float = 1.0, keepdim: _bool = False) -> Tensor:
        """The square root of the variance along `dim` (all axes for None)."""
    @overload
    def logsumexp(self, dim: _int | Sequence[_int], keepdim: _bool = False) -> Tensor:
        """log(sum(exp(x))) along `dim`, without overflow."""
    @overload
    def logsumexp(self, *dim: _int, keepdim: _bool = False) -> Tensor:
        """log(sum(exp(x))) along `dim`, without overflow."""
    def norm(self, p: _float = 2.0, dim: _int | Sequence[_int] | None = None, keepdim: _bool = False) -> Tensor:
        """The p-norm of the elements along `dim` (all axes for None): sum(|x|^p)^(1/p); the number
        of nonzero ones for p = 0, the largest or smallest |x| for p = inf or -inf."""
    def softmax(self, dim: _int, *, dtype: DType | None = None) -> Tensor:
        """exp(x - max x), normalised to sum to 1 along `dim`."""
    def log_softmax(self, dim: _int, *, dtype: DType | None = None) -> Tensor:
        """The logarithm of `softmax`, without its rounding to 0."""
    def topk(self, k: _int, dim: _int = -1, largest: _bool = True) -> tuple[Tensor, Tensor]:
        """The `k` largest elements along `dim`, or the smallest, the first of them first; and where
        each is, as int64. NaN is larger than all numbers; of equal elements the first comes first."""

class Channel:
    """What `watch` recorded at one place."""

    def __init__(self, keep: int) -> None: ...
    def add(self, call: _int, every: _int, parts: Sequence[Tensor]) -> bool:
        """Counts a value of a call, and keeps those of every `every`th call, none for 0; whether it
        kept this one."""
    def entries(self) -> list[tuple[_int, _int, list[Tensor]]]:
        """(call, index of the value in it, tensors) of those kept."""
    def clear(self) -> None:
        """Starts anew."""
    @property
    def steps(self) -> _int:
        """The calls so far."""

class Profiler:
    """Takes what each step of the Programs of all threads takes."""

    def __init__(self, every: int) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def programs(self) -> list[tuple[_int, list[tuple[str, str, str, bool]]]]:
        """Those that ran: its number, and (name, source line, phase, is a kernel) of its steps."""
    def runs(self) -> list[tuple[_int, _int, float, float, list[float]]]:
        """(Program, thread, start, seconds of the host, seconds of each step) of each run."""

class LoadedObject:
    """Machine code of kernels, in memory."""

    def __init__(self, code: bytes) -> None: ...
    def address(self, name: str) -> _int:
        """Where the function `name` begins."""

class CompiledProgram:
    """Kernel launches and op calls over planned memory."""

    def __init__(
        self,
        spec: dict[str, Any],
        object: bytes,
        device: Any = "cpu",
        cubins: list[dict[str, Any]] = ...,
        like: CompiledProgram | None = None,
    ) -> None: ...
    def counters(self) -> dict[str, _int]:
        """How often: builds of the graph, replays, patches, recaptures, copies of inputs."""
    def choose_products(
        self,
        recall: Callable[[str], tuple[bytes, _int, float, float] | None],
        keep: Callable[[str, tuple[bytes, _int, float, float]], None],
    ) -> None:
        """Measures which algorithm each matrix product is to run by, unless `recall` knows."""
    def edges(self, lanes: _int | None = None) -> list[tuple[_int, _int]]:
        """Pairs of steps, the second of which waits for the first; with `lanes` as many more as
        leave that many chains."""
    def unordered(self, edges: Sequence[tuple[_int, _int]]) -> list[tuple[_int, _int]]:
        """Pairs of steps that touch the same bytes and that `edges` leave unordered."""
    def run(self, inputs: Sequence[Tensor | None]) -> list[Tensor]:
        """The results, in order."""
    def profile(self, inputs: Sequence[Tensor | None]) -> list[tuple[str, bool, str, float]]:
        """(kernel or op, is a kernel, location, seconds) of each step of one run."""
    @property
    def number(self) -> int:
        """No other Program has it."""
    @property
    def arena_bytes(self) -> int: ...
    @property
    def scratch_bytes(self) -> int: ...
    @property
    def steps(self) -> int: ...

class Program:
    """Op calls over numbered slots, for any sizes."""

    def __init__(self, spec: dict[str, Any]) -> None: ...

class RegionProgram:
    """A forward and a backward Program; calls are nodes of the tape."""

    def __init__(
        self,
        forward: CompiledProgram,
        backward: CompiledProgram | None,
        name: str,
        results: Sequence[int],
        wanted: Sequence[int],
        kept: Sequence[tuple[bool, int]],
        spent: Sequence[int],
        shown: int,
        reach: Sequence[Sequence[int]],
        narrow: Callable[[list[int]], CompiledProgram],
    ) -> None: ...
    def run(self, inputs: Sequence[Tensor | None]) -> list[Tensor]:
        """The results, in order, tied to the tape."""

class Path:
    """How to read a value again: from an object by attributes and items."""

    def __init__(self, root: Any) -> None: ...
    @staticmethod
    def argument(index: _int) -> Path:
        """Leaf `index` of a call's arguments."""
    def attribute(self, name: str) -> Path: ...
    def item(self, key: Any) -> Path: ...
    def __call__(self, leaves: Sequence[Any] = ()) -> Any:
        """What is there now."""

class Replay:
    """A captured region, ready to run again."""

    def __init__(self, program: CompiledProgram | RegionProgram | None, region: Any) -> None:
        """Without a Program it does all but `launch` and `run`."""
    def fits(self, leaves: list[Any]) -> _bool:
        """Whether everything that the capture relied on is as it was."""
    def are_apart(self, leaves: list[Any]) -> _bool:
        """Whether no tensor that the region changes shares memory with another one."""
    def run(self, leaves: list[Any]) -> list[Any]:
        """What the captured function returned, flat."""
    def inputs(self, leaves: list[Any]) -> list[Tensor]:
        """The inputs now, numbers as tensors."""
    def check_indices(self, leaves: list[Any]) -> None:
        """IndexError where one among the inputs is out of range, as the eager op has it."""
    def launch(self, leaves: list[Any]) -> list[Tensor]:
        """The first half of `run`: the Program makes the results numbered `wanted`."""
    def hand_out(self, leaves: list[Any], made: Sequence[Tensor]) -> list[Any]:
        """The second half: sets grads, changes what has a gradient, and returns."""
    @property
    def wanted(self) -> list[int]:
        """The results of the region that `launch` makes."""
    @property
    def runs(self) -> int:
        """How often it ran."""

class FollowedRegions:
    """Regions of a followed function by what was recorded."""

    def __init__(self) -> None: ...
    def add(self, key: bytes, replay: Replay) -> None:
        """Regions of this key are run by `replay`."""
    def run(self, tracer: Tracer) -> tuple[list[Tensor], list[Tensor], bytes] | None:
        """Ends what was recorded and runs it; what user code holds gets its value. Where none of
        the regions can, that is left to do: (held, given, key), as `Tracer.cut` gives it."""

class BreakTally:
    """How often a function came to a break, and what led there."""

    def __init__(self) -> None: ...
    @property
    def count(self) -> int: ...
    @property
    def seconds(self) -> float: ...

class FollowedRun:
    """A run of a followed function, a region after the other."""

    def __init__(
        self, regions: FollowedRegions, place_of: Callable[[str], BreakTally],
        run_new: Callable[[list[Tensor], list[Tensor], bytes], None],
        before_end: Callable[[], None] | None,
    ) -> None:
        """`place_of(why)` gives the tally of a new break, `run_new(held, given, key)` runs what
        none of the regions can, and `before_end`, where there is one, sees every region end."""
    def begin(self) -> None:
        """What comes now is recorded."""
    def end(self) -> None:
        """Runs what was recorded."""
    def let_go(self) -> None:
        """Forgets what was recorded."""
    @property
    def tracer(self) -> Tracer: ...

class Generator:
    """A Philox4x32-10 random state: a seed and an offset."""

    offset: int
    def __init__(self, seed: int = 0, device: device | str = "cpu") -> None: ...
    @property
    def device(self) -> device:
        """As given. A generator serves every device, and draws the same bits on each."""
    def manual_seed(self, seed: int) -> Self:
        """Start again from `seed`."""
    def initial_seed(self) -> int:
        """The seed in use."""

def note_module_change() -> None:
    """An attribute of a module was set or deleted: replays look at them again."""

class ViewSteps:
    """View ops that lead from a tensor to a view of it."""

    def __len__(self) -> int: ...

class CallTable:
    """What calls do by their arguments."""

    def __init__(self) -> None: ...
    def add(
        self, replay: Replay, arguments: tuple[Any, ...], keywords: dict[str, Any],
        leaves: list[Any], result: Callable[[list[Any]], Any] | None,
    ) -> None:
        """Calls with such arguments, whose leaves these are, are replays; `result` makes of a flat
        list what is returned, None where that is its one element."""
    def add_call(
        self, run: Callable[[tuple[Any, ...], dict[str, Any]], Any], arguments: tuple[Any, ...],
        keywords: dict[str, Any], leaves: list[Any],
    ) -> None:
        """Calls with such arguments are `run(arguments, keywords)`."""
    def remove(self, replay: Replay) -> None: ...
    def call(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """What a call with these arguments returns; NotImplemented where that is not known."""

class Tracer:
    """Records what the dispatcher is asked to do."""

    def __init__(self, following: bool = False) -> None: ...
    def device(self) -> Any:
        """Where the region runs."""
    def start(self) -> None: ...
    def stop(self) -> None: ...
    @property
    def number(self) -> int:
        """No other capture has it."""
    def nodes(
        self,
    ) -> list[
        tuple[str | None, list[int], list[int], list[Any], tuple[str, int] | None, bool, int]
    ]:
        """(op, operand ids, result ids, attributes, (file, line), under no_grad, pin) of each
        node."""
    def values(self) -> list[tuple[str, DType, tuple[int, ...], bool, Tensor, bool]]:
        """(kind, dtype, shape, is a number, tensor of an input or number, requires grad) of each
        value."""
    def inputs(self) -> list[int]: ...
    def writes(self) -> list[tuple[int, int, bool]]:
        """(input, value, whether gradients are recorded of a change) of each changed input."""
    def grad_changes(self) -> list[tuple[Tensor, Tensor | None, int, bool]]: ...
    def path_of(self, roots: Sequence[int]) -> tuple[list[int], bool]:
        """The inputs that gradients of some values go to; whether a backward released a node on
        the way."""
    def is_given(self, tensor: Tensor) -> bool:
        """Whether a tensor comes from outside and was not made in the capture."""
    def spare(self, tensor: Tensor) -> None:
        """Nobody needs the elements of a tensor of this region, though it is held."""
    def aliases(
        self,
    ) -> list[tuple[Tensor, Tensor, int, tuple[int, ...], tuple[int, ...], bool]]:
        """(tensor, input whose memory it shows, distance in elements, strides of both, whether
        gradients of one are those of the other)."""
    def source_of(self, tensor: Tensor) -> tuple[Tensor, ViewSteps]:
        """The tensor that this one is a view of, itself no view; how it is made."""
    def fixed_layouts(self) -> list[tuple[Tensor, tuple[int, ...]]]:
        """(tensor, strides) of those from outside on whose layout the region relies."""
    def is_empty(self) -> bool:
        """Whether nothing was asked for."""
    def cut(self) -> tuple[list[Tensor], list[Tensor], bytes]:
        """(held by user code, given to the region, key: equal for regions of one Program)."""
    def deliver(self, held: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        """Tensors of the finished region become what it gave for them."""
    def value_of(self, tensor: Tensor) -> int: ...
    def add_input(self, tensor: Tensor) -> int: ...

def set_dtypes(dtypes: list[DType]) -> None: ...
def set_errors(classes: list[type[Exception]]) -> None: ...
def set_package(prefix: str) -> None: ...
def set_number_hook(hook: Callable[[Any], Tensor | None] | None) -> None: ...
def set_literals_hook(hook: Callable[[], list[int | float]]) -> None: ...
def set_leave_hook(hook: Callable[[str], bool] | None) -> None: ...
def is_following() -> bool: ...
def next_call() -> int:
    """A number that no other call has."""

def watching() -> bool:
    """Whether channels keep anything, in all threads."""

def set_watching(on: bool) -> None: ...
def is_learning() -> bool:
    """Whether a capture goes on that replays will stand for: what it relies on matters."""

class Profile:
    """A profile hook of this thread, for calls and returns; it stays when it raises."""

    def __init__(self, hook: Callable[[FrameType, str, Any], None]) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *exception: object) -> None: ...
    def see_lines(self) -> None:
        """From here on the hook is called before each line."""

def pause_profile() -> None:
    """No hook of this thread is called until `resume_profile`."""

def resume_profile() -> None: ...
def leave_region(why: str) -> bool:
    """Ends the running region; whether it could be left."""

def set_derive(
    of_call: Callable[..., tuple[Program, bool]], of_tape: Callable[..., tuple[Program, bool]]
) -> None: ...
def load_blas(path: str) -> None: ...
def num_threads() -> int: ...
def set_num_threads(count: int) -> None: ...
def schemas() -> list[tuple[str, list[tuple[str, str, bool]], int, bool, bool, bool]]:
    """(name, parameters, results, has a kernel of its own, runs natively, and so on CUDA) of each op."""

def call(name: str, *args: Any, **kwargs: Any) -> Any: ...
def call_into(name: str, targets: Sequence[Tensor], *args: Any) -> None: ...
def call_into_many(
    name: str, targets: Sequence[list[Tensor]], operands: Sequence[list[Tensor]], *shared: Any
) -> None: ...
def exchange_pin(pin: int) -> int:
    """Says how the ops that this thread records fuse: positive where they are to be one kernel,
    negative where they stay apart from others, 0 for neither. Returns what was said before."""
def grad_enabled() -> bool: ...
def set_grad_enabled(on: bool) -> None: ...
def anomaly() -> int:
    """What this thread looks for: 0 nothing, 1 NaN, 2 infinities as well."""

def autocast() -> tuple[DType | None, DType | None]: ...
def set_autocast(cpu: DType | None, cuda: DType | None) -> None: ...
def set_anomaly(looked_for: int) -> None: ...
def backward(root: Tensor, seed: Tensor | None, retain_graph: bool, create_graph: bool) -> None: ...
def gradients(
    root: Tensor,
    seed: Tensor | None,
    inputs: Sequence[Tensor],
    retain_graph: bool,
    create_graph: bool,
) -> list[Tensor | None]: ...
def number(value: Any) -> Tensor:
    """A number as a 0-d tensor that promotes as Python numbers do."""

def from_array(array: Any) -> Tensor:
    """A tensor on the memory of a NumPy array or any object with DLPack or the buffer protocol."""

def to_numpy(tensor: Tensor, what: str = ...) -> NDArray[Any]:
    """A NumPy array on the memory of `tensor`; `what` the user wrote asks for it."""

def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule on the memory of `tensor`."""

def item(tensor: Tensor) -> int | float | bool:
    """The one element as a Python number."""

def value_for(tensor: Tensor, what: str, instead: str = ...) -> int | float | bool:
    """The same, which `what` the user wrote asks for, and what a region could have instead."""

def item_now(number: Tensor) -> int | float | bool:
    """The value of a number, also inside a capture."""

def give_value(tensor: Tensor, value: Tensor) -> None:
    """`tensor` becomes another name of the memory of `value`."""

def empty(sizes: Sequence[int], dtype: DType, device: Any) -> Tensor: ...
def copy_non_blocking(tensor: Tensor, source: Tensor) -> Tensor: ...
def set_device_class(cls: type[device]) -> None: ...
def set_creation_device(device: Any) -> device:
    """Where ops of this thread make tensors from now on; returns where they did."""

def device_of(given: Any) -> device:
    """The device that a user's text, object or None stands for."""

def on_device(device: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a function, in which ops without operands make tensors on `device`."""

def at_once(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function whose ops run now, whatever captures are going on: what it makes comes to
    them from outside."""

def beside(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The same on the device of the first tensor that comes."""

def float32_matmul_precision() -> int: ...
def set_float32_matmul_precision(precision: int) -> None: ...
def set_cublaslt_places(paths: Sequence[str]) -> None: ...
def cublaslt_version() -> int: ...
def set_kernel_folder(folder: str) -> None: ...
def cuda_is_available() -> bool: ...
def cuda_device_count() -> int: ...
def cuda_properties(device: Any) -> dict[str, Any]: ...
def cuda_current_device() -> int: ...
def cuda_set_device(device: Any) -> None: ...
def cuda_index(device: Any) -> int:
    """The number of a CUDA device given as a number, a text, an object or None."""

def cuda_capability(device: Any) -> int:
    """The compute capability: 90 is 9.0."""

def cuda_seconds_of_launch(device: Any, count: _int) -> float:
    """What the driver takes to queue a kernel that does nothing."""

def cuda_allocates_directly() -> bool:
    """Whether every tensor is an allocation of the driver (OSTINATO_ALLOCATOR=direct)."""

def cuda_synchronize(device: Any) -> None: ...
def cuda_reaches(device: int, peer: int) -> bool: ...

class CudaStream:
    """A stream of a CUDA device."""

    def synchronize(self) -> None: ...
    def is_idle(self) -> bool: ...
    @property
    def handle(self) -> int: ...
    @property
    def device(self) -> int: ...
    @property
    def priority(self) -> int: ...

class CudaEvent:
    """A point in the work of a stream."""

    def __init__(self, device: int, timing: bool) -> None: ...
    def record(self, stream: CudaStream) -> None: ...
    def wait(self, stream: CudaStream) -> None: ...
    def synchronize(self) -> None: ...
    def is_done(self) -> bool: ...
    def elapsed(self, later: CudaEvent) -> float: ...
    @property
    def handle(self) -> int: ...

class CudaMemoryPool:
    """Memory that lies apart from all other."""

    def __init__(self, device: Any) -> None: ...

def cuda_new_stream(device: Any, priority: int) -> CudaStream: ...
def cuda_external_stream(device: Any, handle: int) -> CudaStream: ...
def cuda_default_stream(device: Any) -> CudaStream: ...
def cuda_current_stream(device: Any) -> CudaStream: ...
def cuda_set_stream(stream: CudaStream) -> None: ...
def cuda_record_stream(tensor: Tensor, stream: CudaStream) -> None: ...
def cuda_memory_stats(device: Any) -> dict[str, int]: ...
def cuda_memory_snapshot(device: Any) -> list[dict[str, Any]]: ...
def cuda_reset_peaks(device: Any) -> None: ...
def cuda_mem_get_info(device: Any) -> tuple[int, int]: ...
def cuda_set_memory_limits(device: Any, fraction: float, collect: float) -> None: ...
def cuda_empty_cache() -> None: ...
def cuda_set_memory_history(all: bool) -> None: ...
def cuda_exchange_pool(pool: CudaMemoryPool | None) -> CudaMemoryPool | None:
    """This thread allocates from `pool`; returns the one from before."""

def pin_memory(tensor: Tensor) -> Tensor: ...
def is_pinned(tensor: Tensor) -> bool: ...
def pinned_memory_stats() -> dict[str, int]: ...
def nvtx_load(libraries: Sequence[str]) -> bool: ...
def nvtx_push(name: str) -> int: ...
def nvtx_pop() -> int: ...
def nvtx_mark(name: str) -> None: ...
def cuda_export(tensor: Tensor, stream: int | None) -> None: ...
def strides(tensor: Tensor) -> tuple[int, ...]: ...
def storage_offset(tensor: Tensor) -> int: ...
def data_ptr(tensor: Tensor) -> int: ...
def is_contiguous(tensor: Tensor) -> bool: ...
def is_traced(tensor: Tensor) -> bool: ...
def run_node(
    name: str, operands: Sequence[Tensor | None], attrs: Sequence[Any],
    line: tuple[str, int] | None = None,
) -> list[Tensor]:
    """The results of an op on flat operands, None for an absent one; `line` is the (file, line)
    that errors tell."""
def is_capturing() -> bool: ...
def recorded_ops() -> _int:
    """How many ops the running region has so far."""

def default_generator() -> Generator:
    """The generator that random ops use where none is given."""

def program_counts() -> dict[str, int]:
    """How many Programs of calls and of tapes were derived, and loaded from the disk, in this
    process; how many of tapes are kept, and how often backward ran by one."""

def tape_programs_enabled() -> bool: ...
def set_tape_programs_enabled(on: bool) -> None:
    """Let this thread run backward by Programs of whole tapes, or only node by node."""

def clear_tape_programs() -> None:
    """Forget the Programs of tapes, and which tapes were seen."""
