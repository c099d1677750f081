"""The exceptions that a user can meet; C++ raises the same classes with the same texts."""


class ShapeError(ValueError):
    """Shapes, axes or sizes do not fit an op."""


class DTypeError(TypeError):
    """An element type does not fit an op."""


class GradientError(RuntimeError):
    """A gradient was asked for that does not exist or cannot be computed any more."""


class CaptureError(RuntimeError):
    """A captured function did something that a replay could not repeat."""


class IRError(ValueError):
    """IR text or a module breaks a rule of its stage."""


class CompileError(RuntimeError):
    """A backend is missing or could not build a kernel."""


class DeviceError(RuntimeError):
    """A device is missing, or its driver failed."""


class OutOfMemoryError(DeviceError):
    """A device has no memory left for a tensor."""


class DivergenceWarning(UserWarning):
    """A function did not do again what it did when it was captured."""


class RecompileWarning(UserWarning):
    """A compiled function is captured again and again."""


class CheckWarning(RuntimeWarning):
    """A compiled function gave something else than eager ops; see `compile(check=...)`."""
