"""Ostinato: tensors that run at once, and functions captured once and replayed, compiled."""

from .native import connect as _connect

_connect()

from . import amp as amp  # noqa: E402
from . import autograd as autograd  # noqa: E402
from . import ops as _ops  # noqa: E402
from .amp import autocast as autocast  # noqa: E402
from .amp import is_autocast_enabled as is_autocast_enabled  # noqa: E402
from .autograd import detect_anomaly as detect_anomaly  # noqa: E402
from .autograd import enable_grad as enable_grad  # noqa: E402
from .autograd import grad as grad  # noqa: E402
from .autograd import is_grad_enabled as is_grad_enabled  # noqa: E402
from .autograd import no_grad as no_grad  # noqa: E402
from .autograd import set_grad_enabled as set_grad_enabled  # noqa: E402
from .autograd import value_and_grad as value_and_grad  # noqa: E402
from .autograd import vjp as vjp  # noqa: E402
from .creation import as_tensor as as_tensor  # noqa: E402
from .creation import empty as empty  # noqa: E402
from .creation import empty_like as empty_like  # noqa: E402
from .creation import from_dlpack as from_dlpack  # noqa: E402
from .creation import from_numpy as from_numpy  # noqa: E402
from .creation import tensor as tensor  # noqa: E402
from .device import device as device  # noqa: E402
from .device import get_default_device as get_default_device  # noqa: E402
from .device import set_default_device as set_default_device  # noqa: E402
from .ir.dtypes import DType as DType  # noqa: E402
from .ir.dtypes import bfloat16 as bfloat16  # noqa: E402
from .ir.dtypes import bool_ as bool_  # noqa: E402
from .ir.dtypes import float16 as float16  # noqa: E402
from .ir.dtypes import float32 as float32  # noqa: E402
from .ir.dtypes import float64 as float64  # noqa: E402
from .ir.dtypes import int8 as int8  # noqa: E402
from .ir.dtypes import int16 as int16  # noqa: E402
from .ir.dtypes import int32 as int32  # noqa: E402
from .ir.dtypes import int64 as int64  # noqa: E402
from .ir.dtypes import promote_types as promote_types  # noqa: E402
from .ir.dtypes import uint8 as uint8  # noqa: E402
from .ir.errors import CaptureError as CaptureError  # noqa: E402
from .ir.errors import CheckWarning as CheckWarning  # noqa: E402
from .ir.errors import CompileError as CompileError  # noqa: E402
from .ir.errors import DeviceError as DeviceError  # noqa: E402
from .ir.errors import DivergenceWarning as DivergenceWarning  # noqa: E402
from .ir.errors import DTypeError as DTypeError  # noqa: E402
from .ir.errors import GradientError as GradientError  # noqa: E402
from .ir.errors import IRError as IRError  # noqa: E402
from .ir.errors import OutOfMemoryError as OutOfMemoryError  # noqa: E402
from .ir.errors import RecompileWarning as RecompileWarning  # noqa: E402
from .ir.errors import ShapeError as ShapeError  # noqa: E402
from .precision import get_float32_matmul_precision as get_float32_matmul_precision  # noqa: E402
from .precision import set_float32_matmul_precision as set_float32_matmul_precision  # noqa: E402
from .random import Generator as Generator  # noqa: E402
from .random import get_rng_state as get_rng_state  # noqa: E402
from .random import manual_seed as manual_seed  # noqa: E402
from .random import set_rng_state as set_rng_state  # noqa: E402
from .tensor import Tensor as Tensor  # noqa: E402
from .threads import get_num_threads as get_num_threads  # noqa: E402
from .threads import set_num_threads as set_num_threads  # noqa: E402

bool = bool_
_names = dict(vars(_ops.functions))


def __getattr__(name: str) -> object:
    if name in _names:
        return _names[name]
    if name in ("nn", "optim", "data", "checkpoint", "cuda"):
        import importlib

        return importlib.import_module(f".{name}", __name__)
    if name in (
        "compile", "capture", "fuse", "nofuse", "profile", "Bucket", "watch", "watched", "watching",
    ):  # fmt: skip
        from . import compiler

        return getattr(compiler, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("ostinato")
    raise AttributeError(f"module 'ostinato' has no attribute {name!r}")


def __dir__() -> list[str]:
    lazy = {"nn", "optim", "data", "checkpoint", "cuda", "compile", "capture", "fuse", "nofuse"}
    of_compiler = {"Bucket", "profile", "watch", "watched", "watching"}
    return sorted({*globals(), *_names, *lazy, *of_compiler})
