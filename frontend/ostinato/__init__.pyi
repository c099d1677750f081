# Printed from ir/ops by runtime/native/generate/stubs.py (make stubs).
# The imports are those that any table may need.
# pyright: reportUnusedImport=false
from .tensor import Tensor as Tensor
from . import amp as amp
from . import autograd as autograd
from .amp import autocast as autocast
from .amp import is_autocast_enabled as is_autocast_enabled
from .autograd import detect_anomaly as detect_anomaly
from .autograd import enable_grad as enable_grad
from .autograd import grad as grad
from .autograd import is_grad_enabled as is_grad_enabled
from .autograd import no_grad as no_grad
from .autograd import set_grad_enabled as set_grad_enabled
from .autograd import value_and_grad as value_and_grad
from .autograd import vjp as vjp
from .creation import as_tensor as as_tensor
from .creation import empty as empty
from .creation import empty_like as empty_like
from .creation import from_dlpack as from_dlpack
from .creation import from_numpy as from_numpy
from .creation import tensor as tensor
from .device import device as device
from .device import get_default_device as get_default_device
from .device import set_default_device as set_default_device
from .ir.dtypes import DType as DType
from .ir.dtypes import bfloat16 as bfloat16
from .ir.dtypes import bool_ as bool_
from .ir.dtypes import float16 as float16
from .ir.dtypes import float32 as float32
from .ir.dtypes import float64 as float64
from .ir.dtypes import int8 as int8
from .ir.dtypes import int16 as int16
from .ir.dtypes import int32 as int32
from .ir.dtypes import int64 as int64
from .ir.dtypes import promote_types as promote_types
from .ir.dtypes import uint8 as uint8
from .ir.errors import CaptureError as CaptureError
from .ir.errors import CheckWarning as CheckWarning
from .ir.errors import CompileError as CompileError
from .ir.errors import DeviceError as DeviceError
from .ir.errors import DivergenceWarning as DivergenceWarning
from .ir.errors import DTypeError as DTypeError
from .ir.errors import GradientError as GradientError
from .ir.errors import IRError as IRError
from .ir.errors import OutOfMemoryError as OutOfMemoryError
from .ir.errors import RecompileWarning as RecompileWarning
from .ir.errors import ShapeError as ShapeError
from .precision import get_float32_matmul_precision as get_float32_matmul_precision
from .precision import set_float32_matmul_precision as set_float32_matmul_precision
from .random import Generator as Generator
from .random import get_rng_state as get_rng_state
from .random import manual_seed as manual_seed
from .random import set_rng_state as set_rng_state
from .threads import get_num_threads as get_num_threads
from .threads import set_num_threads as set_num_threads
bool = bool_
from .compiler.padding.buckets import Bucket as Bucket
from .compiler.context import capture as capture
from . import checkpoint as checkpoint
from .compiler.decorator import compile as compile
from . import cuda as cuda
from . import data as data
from .compiler.pins import fuse as fuse
from . import nn as nn
from .compiler.pins import nofuse as nofuse
from . import optim as optim
from .compiler.profiling import profile as profile
from .compiler.recording.watch import watch as watch
from .compiler.recording.table import watched as watched
from .compiler.recording.watch import watching as watching
from .ops import functions as _functions

__version__: str
eq = _functions.eq
ne = _functions.ne
lt = _functions.lt
le = _functions.le
gt = _functions.gt
ge = _functions.ge
logical_and = _functions.logical_and
logical_or = _functions.logical_or
logical_xor = _functions.logical_xor
logical_not = _functions.logical_not
bitwise_and = _functions.bitwise_and
bitwise_or = _functions.bitwise_or
bitwise_xor = _functions.bitwise_xor
bitwise_not = _functions.bitwise_not
isnan = _functions.isnan
isinf = _functions.isinf
isfinite = _functions.isfinite
where = _functions.where
masked_fill = _functions.masked_fill
to = _functions.to
clone = _functions.clone
copy = _functions.copy
fill = _functions.fill
sqrt = _functions.sqrt
rsqrt = _functions.rsqrt
exp = _functions.exp
exp2 = _functions.exp2
expm1 = _functions.expm1
log = _functions.log
log2 = _functions.log2
log1p = _functions.log1p
sin = _functions.sin
cos = _functions.cos
tan = _functions.tan
tanh = _functions.tanh
erf = _functions.erf
sigmoid = _functions.sigmoid
relu = _functions.relu
leaky_relu = _functions.leaky_relu
silu = _functions.silu
gelu = _functions.gelu
softplus = _functions.softplus
sign = _functions.sign
floor = _functions.floor
ceil = _functions.ceil
trunc = _functions.trunc
round = _functions.round
add = _functions.add
sub = _functions.sub
mul = _functions.mul
div = _functions.div
floor_divide = _functions.floor_divide
remainder = _functions.remainder
pow = _functions.pow
maximum = _functions.maximum
minimum = _functions.minimum
neg = _functions.neg
abs = _functions.abs
square = _functions.square
reciprocal = _functions.reciprocal
lerp = _functions.lerp
addcmul = _functions.addcmul
addcdiv = _functions.addcdiv
clamp = _functions.clamp
reshape = _functions.reshape
view = _functions.view
permute = _functions.permute
transpose = _functions.transpose
expand = _functions.expand
squeeze = _functions.squeeze
unsqueeze = _functions.unsqueeze
detach = _functions.detach
flatten = _functions.flatten
unflatten = _functions.unflatten
t = _functions.t
matmul = _functions.matmul
linear = _functions.linear
full = _functions.full
zeros = _functions.zeros
ones = _functions.ones
full_like = _functions.full_like
zeros_like = _functions.zeros_like
ones_like = _functions.ones_like
arange = _functions.arange
eye = _functions.eye
select = _functions.select
narrow = _functions.narrow
slice_scatter = _functions.slice_scatter
select_scatter = _functions.select_scatter
pad = _functions.pad
split = _functions.split
chunk = _functions.chunk
unbind = _functions.unbind
cat = _functions.cat
stack = _functions.stack
flip = _functions.flip
tril = _functions.tril
triu = _functions.triu
rand = _functions.rand
randn = _functions.randn
randint = _functions.randint
randperm = _functions.randperm
multinomial = _functions.multinomial
bernoulli = _functions.bernoulli
dropout = _functions.dropout
sum = _functions.sum
prod = _functions.prod
amax = _functions.amax
amin = _functions.amin
argmax = _functions.argmax
argmin = _functions.argmin
any = _functions.any
all = _functions.all
cumsum = _functions.cumsum
scaled_dot_product_attention = _functions.scaled_dot_product_attention
gather = _functions.gather
scatter_add = _functions.scatter_add
index_select = _functions.index_select
index_add = _functions.index_add
embedding = _functions.embedding
one_hot = _functions.one_hot
as_strided = _functions.as_strided
as_strided_scatter = _functions.as_strided_scatter
mean = _functions.mean
var = _functions.var
std = _functions.std
logsumexp = _functions.logsumexp
norm = _functions.norm
mse_loss = _functions.mse_loss
binary_cross_entropy_with_logits = _functions.binary_cross_entropy_with_logits
cross_entropy = _functions.cross_entropy
softmax = _functions.softmax
log_softmax = _functions.log_softmax
layer_norm = _functions.layer_norm
rms_norm = _functions.rms_norm
topk = _functions.topk
