# Printed from ir/ops by runtime/native/generate/stubs.py (make stubs).
# The imports are those that any table may need.
# pyright: reportUnusedImport=false
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

from .device import device
from .ir.dtypes import DType
from .ir.op import Op
from .runtime._C import Generator, Tensor

def expanded(op: Op) -> Callable[..., Any]:
    """The body of an op of kind `function`, called as native ops are: sizes may come one by one,
and tensors that no operand places are made beside the first tensor that comes."""

class functions:
    @staticmethod
    def eq(x: Tensor | float, y: Tensor | float) -> Tensor:
        """Whether x equals y, as bool."""
    @staticmethod
    def ne(x: Tensor | float, y: Tensor | float) -> Tensor:
        """Whether x differs from y, as bool."""
    @staticmethod
    def lt(x: Tensor | float, y: Tensor | float) -> Tensor:
        """Whether x is less than y, as bool."""
    @staticmethod
    def le(x: Tensor | float, y: Tensor | float) -> Tensor:
        """Whether x is at most y, as bool."""
    @staticmethod
    def gt(x: Tensor | float, y: Tensor | float) -> Tensor:
        """Whether x is greater than y, as bool."""
    @staticmethod
    def ge(x: Tensor | float, y: Tensor | float) -> Tensor:
        """Whether x is at least y, as bool."""
    @staticmethod
    def logical_and(x: Tensor | float, y: Tensor | float) -> Tensor:
        """Whether neither x nor y is zero, as bool."""
    @staticmethod
    def logical_or(x: Tensor | float, y: Tensor | float) -> Tensor:
        """Whether x or y is not zero, as bool."""
    @staticmethod
    def logical_xor(x: Tensor | float, y: Tensor | float) -> Tensor:
        """Whether exactly one of x and y is not zero, as bool."""
    @staticmethod
    def logical_not(x: Tensor | float) -> Tensor:
        """Whether x is zero, as bool."""
    @staticmethod
    def bitwise_and(x: Tensor | float, y: Tensor | float) -> Tensor:
        """The bits set in both x and y, of integers or bools."""
    @staticmethod
    def bitwise_or(x: Tensor | float, y: Tensor | float) -> Tensor:
        """The bits set in x or y, of integers or bools."""
    @staticmethod
    def bitwise_xor(x: Tensor | float, y: Tensor | float) -> Tensor:
        """The bits set in exactly one of x and y, of integers or bools."""
    @staticmethod
    def bitwise_not(x: Tensor | float) -> Tensor:
        """x with every bit flipped, of integers or bools."""
    @staticmethod
    def isnan(x: Tensor | float) -> Tensor:
        """Whether x is NaN, as bool."""
    @staticmethod
    def isinf(x: Tensor | float) -> Tensor:
        """Whether x is an infinity, as bool."""
    @staticmethod
    def isfinite(x: Tensor | float) -> Tensor:
        """Whether x is neither NaN nor an infinity, as bool."""
    @staticmethod
    def where(condition: Tensor | float, x: Tensor | float, y: Tensor | float) -> Tensor:
        """x where the bool `condition` holds, else y."""
    @staticmethod
    def masked_fill(x: Tensor | float, mask: Tensor | float, value: Tensor | float) -> Tensor:
        """`value`, converted to the dtype of x, where the bool `mask` holds, else x."""
    @staticmethod
    def to(x: Tensor | float, dtype: DType) -> Tensor:
        """x converted to `dtype`: floats to integers are truncated, anything to bool tested for 0."""
    @staticmethod
    def to_device(x: Tensor | float, device: str | device, source: str | device, non_blocking: bool = False) -> Tensor:
        """x, which lies on `source`, copied to `device`."""
    @staticmethod
    def clone(x: Tensor | float) -> Tensor:
        """A copy of x in memory of its own."""
    @staticmethod
    def copy(x: Tensor | float, src: Tensor | float) -> Tensor:
        """`src` converted to the dtype of x; in place, x takes the values of `src`."""
    @staticmethod
    def changed(x: Tensor | float, value: Tensor | float) -> Tensor:
        """`value`, converted to the dtype of x: what x is after a change in place that no gradient is
        recorded of. The gradient goes to x."""
    @staticmethod
    def fill(x: Tensor | float, value: Tensor | float) -> Tensor:
        """A tensor like x, every element the 0-d `value`."""
    @staticmethod
    def sqrt(x: Tensor | float) -> Tensor:
        """The square root of x."""
    @staticmethod
    def rsqrt(x: Tensor | float) -> Tensor:
        """1 / sqrt(x)."""
    @staticmethod
    def exp(x: Tensor | float) -> Tensor:
        """e raised to the power x."""
    @staticmethod
    def exp2(x: Tensor | float) -> Tensor:
        """2 raised to the power x."""
    @staticmethod
    def expm1(x: Tensor | float) -> Tensor:
        """exp(x) - 1, accurate near 0."""
    @staticmethod
    def log(x: Tensor | float) -> Tensor:
        """The natural logarithm of x."""
    @staticmethod
    def log2(x: Tensor | float) -> Tensor:
        """The logarithm of x to the base 2."""
    @staticmethod
    def log1p(x: Tensor | float) -> Tensor:
        """log(1 + x), accurate near 0."""
    @staticmethod
    def sin(x: Tensor | float) -> Tensor:
        """The sine of x, in radians."""
    @staticmethod
    def cos(x: Tensor | float) -> Tensor:
        """The cosine of x, in radians."""
    @staticmethod
    def tan(x: Tensor | float) -> Tensor:
        """The tangent of x, in radians."""
    @staticmethod
    def tanh(x: Tensor | float) -> Tensor:
        """The hyperbolic tangent of x."""
    @staticmethod
    def erf(x: Tensor | float) -> Tensor:
        """The error function of x, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    @staticmethod
    def sigmoid(x: Tensor | float) -> Tensor:
        """1 / (1 + exp(-x))."""
    @staticmethod
    def relu(x: Tensor | float) -> Tensor:
        """x where it is positive, else 0; NaN stays."""
    @staticmethod
    def leaky_relu(x: Tensor | float, negative_slope: float = 0.01) -> Tensor:
        """x where it is positive, else x * `negative_slope`."""
    @staticmethod
    def silu(x: Tensor | float) -> Tensor:
        """x * sigmoid(x)."""
    @staticmethod
    def gelu(x: Tensor | float, approximate: Literal['none', 'tanh'] = 'none') -> Tensor:
        """x times the normal distribution function of x; `approximate="tanh"` writes it with tanh."""
    @staticmethod
    def softplus(x: Tensor | float, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
        """log(1 + exp(beta x)) / beta; x itself where beta x is above `threshold`."""
    @staticmethod
    def sign(x: Tensor | float) -> Tensor:
        """-1, 0 or 1 as x is negative, zero (or NaN) or positive."""
    @staticmethod
    def floor(x: Tensor | float) -> Tensor:
        """The largest whole number not above x."""
    @staticmethod
    def ceil(x: Tensor | float) -> Tensor:
        """The smallest whole number not below x."""
    @staticmethod
    def trunc(x: Tensor | float) -> Tensor:
        """x without its fraction."""
    @staticmethod
    def round(x: Tensor | float) -> Tensor:
        """The whole number nearest to x; halves go to the even one."""
    @staticmethod
    def add(x: Tensor | float, y: Tensor | float, *, alpha: float = 1) -> Tensor:
        """x + y; of two bools, whether either holds."""
    @staticmethod
    def sub(x: Tensor | float, y: Tensor | float, *, alpha: float = 1) -> Tensor:
        """x - y; not for two bools."""
    @staticmethod
    def mul(x: Tensor | float, y: Tensor | float) -> Tensor:
        """x * y; of two bools, whether both hold."""
    @staticmethod
    def div(x: Tensor | float, y: Tensor | float) -> Tensor:
        """x / y, in floating point."""
    @staticmethod
    def floor_divide(x: Tensor | float, y: Tensor | float) -> Tensor:
        """x / y rounded down, in the dtype of the operands; an integer divided by 0 is 0."""
    @staticmethod
    def remainder(x: Tensor | float, y: Tensor | float) -> Tensor:
        """x modulo y with the sign of y; an integer modulo 0 is 0."""
    @staticmethod
    def pow(x: Tensor | float, y: Tensor | float) -> Tensor:
        """x raised to the power y, in the dtype of the operands."""
    @staticmethod
    def maximum(x: Tensor | float, y: Tensor | float) -> Tensor:
        """The larger of x and y; NaN if either is NaN."""
    @staticmethod
    def minimum(x: Tensor | float, y: Tensor | float) -> Tensor:
        """The smaller of x and y; NaN if either is NaN."""
    @staticmethod
    def neg(x: Tensor | float) -> Tensor:
        """-x."""
    @staticmethod
    def abs(x: Tensor | float) -> Tensor:
        """The absolute value of x."""
    @staticmethod
    def square(x: Tensor | float) -> Tensor:
        """x * x."""
    @staticmethod
    def reciprocal(x: Tensor | float) -> Tensor:
        """1 / x, in floating point."""
    @staticmethod
    def lerp(x: Tensor | float, end: Tensor | float, weight: Tensor | float) -> Tensor:
        """x + weight * (end - x), written from the nearer end."""
    @staticmethod
    def addcmul(x: Tensor | float, tensor1: Tensor | float, tensor2: Tensor | float, value: Tensor | float = 1) -> Tensor:
        """x + value * tensor1 * tensor2."""
    @staticmethod
    def addcdiv(x: Tensor | float, tensor1: Tensor | float, tensor2: Tensor | float, value: Tensor | float = 1) -> Tensor:
        """x + value * tensor1 / tensor2, in floating point."""
    @staticmethod
    def clamp(x: Tensor | float, min: Tensor | float | None = None, max: Tensor | float | None = None) -> Tensor:
        """x limited to at least `min` and at most `max`; `max` wins where they cross, NaN stays."""
    @overload
    @staticmethod
    def reshape(x: Tensor | float, shape: int | Sequence[int]) -> Tensor:
        """The elements of x in row-major order under `shape`, one size of which may be -1; a view
        where the strides allow it, else a copy."""
    @overload
    @staticmethod
    def reshape(x: Tensor | float, *shape: int) -> Tensor:
        """The elements of x in row-major order under `shape`, one size of which may be -1; a view
        where the strides allow it, else a copy."""
    @overload
    @staticmethod
    def view(x: Tensor | float, shape: int | Sequence[int]) -> Tensor:
        """`reshape` that is never a copy; an error where the strides do not allow it."""
    @overload
    @staticmethod
    def view(x: Tensor | float, *shape: int) -> Tensor:
        """`reshape` that is never a copy; an error where the strides do not allow it."""
    @overload
    @staticmethod
    def permute(x: Tensor | float, dims: int | Sequence[int]) -> Tensor:
        """x with its axes in the order `dims`."""
    @overload
    @staticmethod
    def permute(x: Tensor | float, *dims: int) -> Tensor:
        """x with its axes in the order `dims`."""
    @staticmethod
    def transpose(x: Tensor | float, dim0: int, dim1: int) -> Tensor:
        """x with two axes exchanged."""
    @overload
    @staticmethod
    def expand(x: Tensor | float, size: int | Sequence[int]) -> Tensor:
        """x with axes of size 1 repeated to `size`, and new axes in front; -1 keeps a size."""
    @overload
    @staticmethod
    def expand(x: Tensor | float, *size: int) -> Tensor:
        """x with axes of size 1 repeated to `size`, and new axes in front; -1 keeps a size."""
    @staticmethod
    def squeeze(x: Tensor | float, dim: int | Sequence[int] | None = None) -> Tensor:
        """x without the axes `dim` that have size 1 (None: without every axis of size 1)."""
    @staticmethod
    def unsqueeze(x: Tensor | float, dim: int) -> Tensor:
        """x with an axis of size 1 inserted at `dim`."""
    @staticmethod
    def detach(x: Tensor | float) -> Tensor:
        """x as a constant: no gradient flows through it."""
    @staticmethod
    def flatten(x: Tensor | float, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """x with its axes `start_dim` to `end_dim` made one."""
    @staticmethod
    def unflatten(x: Tensor | float, dim: int, sizes: int | Sequence[int]) -> Tensor:
        """x with axis `dim` split into axes of `sizes`, one of which may be -1."""
    @staticmethod
    def t(x: Tensor | float) -> Tensor:
        """A matrix transposed; vectors and 0-d tensors as they are. ShapeError for more axes."""
    @staticmethod
    def matmul(x: Tensor | float, y: Tensor | float) -> Tensor:
        """The matrix product: 1-d operands are vectors, leading axes broadcast. Half types are
        multiplied and added up in float32."""
    @staticmethod
    def linear(input: Tensor | float, weight: Tensor | float, bias: Tensor | float | None = None) -> Tensor:
        """input (..., k) times weight (n, k) transposed, plus bias (n,): (..., n)."""
    @staticmethod
    def full(size: int | Sequence[int], fill_value: Tensor | float, dtype: DType | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """A tensor of shape `size`, every element `fill_value` (0-d or a number), of its dtype for
        None: float32 for a Python float."""
    @staticmethod
    def iota(length: int, start: Tensor | float, step: Tensor | float, dtype: DType | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """start + step * i for i from 0 to length - 1, computed in float64 or int64."""
    @staticmethod
    def size_tensor(size: int) -> Tensor:
        """A run-time size as a 0-d int64 tensor, so that a rule may compute with it."""
    @overload
    @staticmethod
    def zeros(size: int | Sequence[int], dtype: DType | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """A tensor of zeros, float32 for None."""
    @overload
    @staticmethod
    def zeros(*size: int, dtype: DType | None = None, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """A tensor of zeros, float32 for None."""
    @overload
    @staticmethod
    def ones(size: int | Sequence[int], dtype: DType | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """A tensor of ones, float32 for None."""
    @overload
    @staticmethod
    def ones(*size: int, dtype: DType | None = None, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """A tensor of ones, float32 for None."""
    @staticmethod
    def full_like(x: Tensor | float, fill_value: Tensor | float, dtype: DType | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """A tensor of the shape and (for None) the dtype of x, every element `fill_value`."""
    @staticmethod
    def zeros_like(x: Tensor | float, dtype: DType | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """A tensor of zeros of the shape and (for None) the dtype of x."""
    @staticmethod
    def ones_like(x: Tensor | float, dtype: DType | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """A tensor of ones of the shape and (for None) the dtype of x."""
    @staticmethod
    def arange(start: float = 0, end: float | None = None, step: float = 1, dtype: DType | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """start, start + step, ... below `end` (from 0 to `start` where only that is given).

        The dtype for None is int64 if all three are ints, else float32. ValueError where `step` leads
        away from `end`."""
    @staticmethod
    def eye(n: int, m: int | None = None, dtype: DType | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """The n by m matrix (n by n for None) with ones on the diagonal, float32 for dtype None."""
    @staticmethod
    def slice(x: Tensor | float, dim: int, start: int, stop: int, step: int = 1) -> Tensor:
        """Elements start, start + step, ... below stop along `dim`; bounds are clamped, and negative
        ones count from the end."""
    @staticmethod
    def select(x: Tensor | float, dim: int, index: int) -> Tensor:
        """Element `index` along `dim`, without that axis; a negative index counts from the end."""
    @staticmethod
    def narrow(x: Tensor | float, dim: int, start: int, length: int) -> Tensor:
        """`length` elements along `dim` from `start`."""
    @staticmethod
    def slice_scatter(x: Tensor | float, src: Tensor | float, dim: int, start: int, stop: int, step: int = 1) -> Tensor:
        """x with the elements that `slice` would give replaced by `src`, broadcast and converted."""
    @staticmethod
    def select_scatter(x: Tensor | float, src: Tensor | float, dim: int, index: int) -> Tensor:
        """x with the elements that `select` would give replaced by `src`, broadcast and converted."""
    @staticmethod
    def pad(input: Tensor | float, pad: int | Sequence[int], mode: Literal['constant'] = 'constant', value: float = 0.0) -> Tensor:
        """input grown by `pad`, (before, after) pairs from the last axis to the front, with `value`;
        negative amounts cut."""
    @staticmethod
    def split(x: Tensor | float, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Views of x cut along `dim`, of one size (the last may be smaller) or of the given sizes."""
    @staticmethod
    def chunk(x: Tensor | float, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """At most `chunks` views of x of equal size along `dim`, the last of which may be smaller."""
    @staticmethod
    def unbind(x: Tensor | float, dim: int = 0) -> tuple[Tensor, ...]:
        """Views of x at each index along `dim`, without that axis."""
    @staticmethod
    def cat(tensors: Sequence[Tensor | float], dim: int = 0) -> Tensor:
        """The tensors end to end along `dim`, in their promoted dtype."""
    @staticmethod
    def stack(tensors: Sequence[Tensor | float], dim: int = 0) -> Tensor:
        """Tensors of one shape side by side along a new axis `dim`."""
    @overload
    @staticmethod
    def flip(x: Tensor | float, dims: int | Sequence[int]) -> Tensor:
        """A copy of x with the order of elements along `dims` reversed."""
    @overload
    @staticmethod
    def flip(x: Tensor | float, *dims: int) -> Tensor:
        """A copy of x with the order of elements along `dims` reversed."""
    @staticmethod
    def tril(x: Tensor | float, diagonal: int = 0) -> Tensor:
        """The elements of each matrix (the last two axes) on and below a diagonal, else 0."""
    @staticmethod
    def triu(x: Tensor | float, diagonal: int = 0) -> Tensor:
        """The elements of each matrix (the last two axes) on and above a diagonal, else 0."""
    @overload
    @staticmethod
    def rand(size: int | Sequence[int], dtype: DType | None = None, generator: Generator | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """Uniform numbers from [0, 1), float32 for dtype None.

        A float32 has the upper 24 bits of its lane, float64 all 32, float16 11 and bfloat16 8."""
    @overload
    @staticmethod
    def rand(*size: int, dtype: DType | None = None, generator: Generator | None = None, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """Uniform numbers from [0, 1), float32 for dtype None.

        A float32 has the upper 24 bits of its lane, float64 all 32, float16 11 and bfloat16 8."""
    @overload
    @staticmethod
    def randn(size: int | Sequence[int], dtype: DType | None = None, generator: Generator | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """Normal numbers of mean 0 and variance 1, float32 for dtype None.

        Elements 2k and 2k + 1 are the Box-Muller pair of their two lanes a, b: sqrt(-2 ln u) times
        cos and sin of 2 pi v, with u in (0, 1] from a and v in [0, 1) from b."""
    @overload
    @staticmethod
    def randn(*size: int, dtype: DType | None = None, generator: Generator | None = None, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """Normal numbers of mean 0 and variance 1, float32 for dtype None.

        Elements 2k and 2k + 1 are the Box-Muller pair of their two lanes a, b: sqrt(-2 ln u) times
        cos and sin of 2 pi v, with u in (0, 1] from a and v in [0, 1) from b."""
    @staticmethod
    def randint(low: int, high: int, size: int | Sequence[int], dtype: DType | None = None, generator: Generator | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """Uniform integers from `low` to `high` - 1, int64 for dtype None: low + lane * (high - low)
        / 2^32 rounded down. ValueError unless 0 < high - low <= 2^32."""
    @staticmethod
    def randperm(n: int, dtype: DType | None = None, generator: Generator | None = None, *, requires_grad: bool = False, device: device | str | None = None) -> Tensor:
        """The integers 0 to n - 1 in random order: that which sorts n lanes, equal ones in place."""
    @staticmethod
    def multinomial(input: Tensor | float, num_samples: int, replacement: bool = False, generator: Generator | None = None) -> Tensor:
        """Indices drawn with probability proportional to the weights of each row (the last axis).

        With replacement, sample j of a row is the first index whose running sum exceeds the uniform
        number of the sample times the sum of the row. Without, index k of a row has the key
        -ln(u) / weight of its own number u in (0, 1]; the smallest keys are drawn, in order.
        ValueError for negative weights, and where a row has too few that are positive."""
    @staticmethod
    def bernoulli(input: Tensor | float, generator: Generator | None = None) -> Tensor:
        """1 with the probability that `input` holds, else 0: 1 where the uniform number is below."""
    @staticmethod
    def dropout(input: Tensor | float, p: Tensor | float = 0.5, training: bool = True, generator: Generator | None = None) -> Tensor:
        """input / (1 - p) where the float32 uniform number of the element is at least p, else 0;
        input itself where not `training`."""
    @staticmethod
    def rng_advance(generator: Generator | None, count: int) -> Tensor:
        """The state after `count` elements were drawn: the offset grown by count / 4, rounded up."""
    @staticmethod
    def sum(x: Tensor | float, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
        """The sum of the elements along `dim` (all axes for None); integers add up in int64."""
    @staticmethod
    def prod(x: Tensor | float, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
        """The product of the elements along `dim` (all axes for None); integers multiply in int64."""
    @staticmethod
    def amax(x: Tensor | float, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """The largest element along `dim` (all axes for None); NaN if there is one."""
    @staticmethod
    def amin(x: Tensor | float, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """The smallest element along `dim` (all axes for None); NaN if there is one."""
    @staticmethod
    def argmax(x: Tensor | float, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the first largest element along `dim` is, as int64; in the flattened x for None."""
    @staticmethod
    def argmin(x: Tensor | float, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the first smallest element along `dim` is, as int64; in the flattened x for None."""
    @staticmethod
    def any(x: Tensor | float, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """Whether some element along `dim` (all axes for None) is not zero, as bool."""
    @staticmethod
    def all(x: Tensor | float, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """Whether no element along `dim` (all axes for None) is zero, as bool."""
    @staticmethod
    def cumsum(x: Tensor | float, dim: int, *, dtype: DType | None = None) -> Tensor:
        """The sums of the elements along `dim` up to and with each; integers add up in int64."""
    @staticmethod
    def scaled_dot_product_attention(query: Tensor | float, key: Tensor | float, value: Tensor | float, attn_mask: Tensor | float | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None) -> Tensor:
        """softmax(query key^T * scale + mask) value, for query (..., L, E), key (..., S, E) and value
        (..., S, Ev): (..., L, Ev).

        A bool `attn_mask` (broadcast to (..., L, S)) tells where to look, another is added.
        `is_causal` lets query i see the keys up to i. `scale` is 1 / sqrt(E) for None. A row that may
        look nowhere gives zeros. ValueError for both mask and `is_causal`."""
    @staticmethod
    def attention(query: Tensor | float, key: Tensor | float, value: Tensor | float, attn_mask: Tensor | float | None, is_causal: bool, scale: float) -> tuple[Tensor, Tensor]:
        """`scaled_dot_product_attention` of operands with the same leading axes, and the logarithm of
        each row's sum of exponentials: (..., L, Ev) and (..., L)."""
    @staticmethod
    def attention_backward(g: Tensor | float, query: Tensor | float, key: Tensor | float, value: Tensor | float, out: Tensor | float, logsumexp: Tensor | float, attn_mask: Tensor | float | None, is_causal: bool, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of `attention` for query, key and value, from that of its first result."""
    @staticmethod
    def attention_backward_stacked(g: Tensor | float, query: Tensor | float, key: Tensor | float, value: Tensor | float, out: Tensor | float, logsumexp: Tensor | float, attn_mask: Tensor | float | None, is_causal: bool, scale: float) -> Tensor:
        """`attention_backward` of a query, key and value of one shape: (3, ..., L, E)."""
    @staticmethod
    def gather(x: Tensor | float, dim: int, index: Tensor | float) -> Tensor:
        """Element (i, j, ...) is that of x with the index along `dim` replaced by index[i, j, ...].

        `index` (integers) has the rank of x and is no longer along the other axes. IndexError out of
        range."""
    @staticmethod
    def scatter_add(x: Tensor | float, dim: int, index: Tensor | float, src: Tensor | float) -> Tensor:
        """x with each src[i, j, ...] added at (i, j, ...), the index along `dim` replaced by
        index[i, j, ...].

        `index` (integers) has the rank of x and of src and is no longer than either. IndexError out of
        range."""
    @staticmethod
    def index_select(x: Tensor | float, dim: int, index: Tensor | float) -> Tensor:
        """The elements along `dim` at `index` (integers of any shape, which takes the axis's place).
        IndexError out of range."""
    @staticmethod
    def index_add(x: Tensor | float, dim: int, index: Tensor | float, source: Tensor | float) -> Tensor:
        """x with the elements of `source` along `dim` added at `index` (integers; shaped as
        `index_select` gives them). IndexError out of range."""
    @staticmethod
    def index_select_backward(g: Tensor | float, index: Tensor | float, dim: int, size: int | Sequence[int]) -> Tensor:
        """Zeros of shape `size` with the elements of g along `dim` added at `index`."""
    @staticmethod
    def embedding(input: Tensor | float, weight: Tensor | float) -> Tensor:
        """The rows of `weight` (n, d) at `input` (integers): (*input.shape, d)."""
    @staticmethod
    def one_hot(input: Tensor | float, num_classes: int) -> Tensor:
        """1 at the place along a new last axis that the integer names, else 0, as int64; all 0 for an
        integer that is not from 0 to num_classes - 1."""
    @staticmethod
    def as_strided(x: Tensor | float, size: int | Sequence[int], stride: int | Sequence[int], storage_offset: int = 0) -> Tensor:
        """Element (i, j, ...) is element storage_offset + i stride[0] + j stride[1] + ... of the
        memory of x, taken as contiguous where x is a value; IndexError outside of it."""
    @staticmethod
    def as_strided_scatter(x: Tensor | float, src: Tensor | float, size: int | Sequence[int], stride: int | Sequence[int], storage_offset: int = 0) -> Tensor:
        """x with the elements that `as_strided` would give replaced by `src`, broadcast and
        converted; where several lie on one place, the last wins."""
    @staticmethod
    def mean(x: Tensor | float, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
        """The mean of the elements along `dim` (all axes for None)."""
    @staticmethod
    def var(x: Tensor | float, dim: int | Sequence[int] | None = None, correction: float = 1.0, keepdim: bool = False) -> Tensor:
        """The mean squared distance from the mean along `dim` (all axes for None), with a divisor
        `correction` less than the number of elements."""
    @staticmethod
    def std(x: Tensor | float, dim: int | Sequence[int] | None = None, correction: float = 1.0, keepdim: bool = False) -> Tensor:
        """The square root of the variance along `dim` (all axes for None)."""
    @overload
    @staticmethod
    def logsumexp(x: Tensor | float, dim: int | Sequence[int], keepdim: bool = False) -> Tensor:
        """log(sum(exp(x))) along `dim`, without overflow."""
    @overload
    @staticmethod
    def logsumexp(x: Tensor | float, *dim: int, keepdim: bool = False) -> Tensor:
        """log(sum(exp(x))) along `dim`, without overflow."""
    @staticmethod
    def norm(x: Tensor | float, p: float = 2.0, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """The p-norm of the elements along `dim` (all axes for None): sum(|x|^p)^(1/p); the number
        of nonzero ones for p = 0, the largest or smallest |x| for p = inf or -inf."""
    @staticmethod
    def mse_loss(input: Tensor | float, target: Tensor | float, reduction: Literal['none', 'mean', 'sum'] = 'mean') -> Tensor:
        """The squared differences, or by default their mean, or their sum."""
    @staticmethod
    def binary_cross_entropy_with_logits(input: Tensor | float, target: Tensor | float, reduction: Literal['none', 'mean', 'sum'] = 'mean') -> Tensor:
        """-target log p - (1 - target) log(1 - p) with p = sigmoid(input); by default the mean, or the
        sum."""
    @staticmethod
    def cross_entropy(input: Tensor | float, target: Tensor | float, ignore_index: int = -100, reduction: Literal['none', 'mean', 'sum'] = 'mean', label_smoothing: float = 0.0) -> Tensor:
        """-log softmax of `input` (N, C, ...) at the classes `target` (N, ...), integers.

        Rows whose target is `ignore_index` count as 0 and not in the mean. Label smoothing mixes in
        the mean over all classes. IndexError where another target is out of range; in a region on a
        GPU, or that computes the target, the loss is NaN."""
    @staticmethod
    def cross_entropy_backward(g: Tensor | float, input: Tensor | float, target: Tensor | float, ignore_index: int, reduction: Literal['none', 'mean', 'sum'], label_smoothing: float) -> Tensor:
        """The gradient of `cross_entropy` for input, from that of its result."""
    @staticmethod
    def softmax(x: Tensor | float, dim: int, *, dtype: DType | None = None) -> Tensor:
        """exp(x - max x), normalised to sum to 1 along `dim`."""
    @staticmethod
    def log_softmax(x: Tensor | float, dim: int, *, dtype: DType | None = None) -> Tensor:
        """The logarithm of `softmax`, without its rounding to 0."""
    @staticmethod
    def layer_norm(input: Tensor | float, normalized_shape: int | Sequence[int], weight: Tensor | float | None = None, bias: Tensor | float | None = None, eps: float = 1e-05) -> Tensor:
        """(input - mean) / sqrt(variance + eps) * weight + bias over the last axes, whose sizes are
        `normalized_shape`; the variance has the divisor n."""
    @staticmethod
    def layer_norm_backward(g: Tensor | float, input: Tensor | float, weight: Tensor | float | None, normalized_shape: int | Sequence[int], eps: float) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of `layer_norm` for input, weight and bias, from that of its result."""
    @staticmethod
    def rms_norm(input: Tensor | float, normalized_shape: int | Sequence[int], weight: Tensor | float | None = None, eps: float | None = None) -> Tensor:
        """input / sqrt(mean of squares + eps) * weight over the last axes, whose sizes are
        `normalized_shape`; eps for None is the spacing of numbers at 1, of float32 for half types."""
    @staticmethod
    def rms_norm_backward(g: Tensor | float, input: Tensor | float, weight: Tensor | float | None, normalized_shape: int | Sequence[int], eps: float | None) -> tuple[Tensor, Tensor]:
        """The gradients of `rms_norm` for input and weight, from that of its result."""
    @staticmethod
    def sgd_step(param: Tensor | float, grad: Tensor | float, lr: Tensor | float, weight_decay: Tensor | float) -> Tensor:
        """param - lr * (grad + weight_decay * param)."""
    @staticmethod
    def sgd_momentum_step(param: Tensor | float, grad: Tensor | float, momentum_buffer: Tensor | float, step: Tensor | float, lr: Tensor | float, momentum: Tensor | float, dampening: Tensor | float, weight_decay: Tensor | float, nesterov: bool) -> tuple[Tensor, Tensor]:
        """`sgd_step` along momentum * buffer + (1 - dampening) * gradient, undampened in step 1: the
        new parameter and buffer. The buffer starts as zeros."""
    @staticmethod
    def adam_step(param: Tensor | float, grad: Tensor | float, exp_avg: Tensor | float, exp_avg_sq: Tensor | float, step: Tensor | float, lr: Tensor | float, beta1: Tensor | float, beta2: Tensor | float, eps: Tensor | float, weight_decay: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """One step of Adam (Kingma and Ba, 2015), weight decay added to the gradient: the new
        parameter and running means of gradient and squared gradient."""
    @staticmethod
    def adamw_step(param: Tensor | float, grad: Tensor | float, exp_avg: Tensor | float, exp_avg_sq: Tensor | float, step: Tensor | float, lr: Tensor | float, beta1: Tensor | float, beta2: Tensor | float, eps: Tensor | float, weight_decay: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """One step of AdamW (Loshchilov and Hutter, 2019), the parameter decayed first: the new
        parameter and running means of gradient and squared gradient."""
    @staticmethod
    def topk(x: Tensor | float, k: int, dim: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
        """The `k` largest elements along `dim`, or the smallest, the first of them first; and where
        each is, as int64. NaN is larger than all numbers; of equal elements the first comes first."""
