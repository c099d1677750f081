"""Gradients: modes, and the functional forms `grad`, `value_and_grad` and `vjp`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from .ir.errors import GradientError
from .runtime import _C
from .tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


class _Mode:
    """A context manager and decorator that sets a thread's flag and puts it back."""

    get: ClassVar[staticmethod[[], int]]
    set: ClassVar[staticmethod[..., None]]

    def __init__(self, on: int) -> None:
        self.on = on
        self.before: list[int] = []

    def again(self) -> _Mode:
        """The same for another block."""
        return type(self)(self.on)

    def __enter__(self) -> None:
        self.before.append(type(self).get())
        type(self).set(self.on)

    def __exit__(self, *exc: object) -> None:
        type(self).set(self.before.pop())

    def __call__(self, fn: F) -> F:
        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.again():
                return fn(*args, **kwargs)

        return wrapped  # pyright: ignore[reportReturnType]


class set_grad_enabled(_Mode):
    """Record ops on the tape inside (True) or not (False)."""

    get = staticmethod(_C.grad_enabled)
    set = staticmethod(_C.set_grad_enabled)


class no_grad(set_grad_enabled):
    """Record nothing inside."""

    def __init__(self, on: bool = False) -> None:
        super().__init__(on)


class enable_grad(set_grad_enabled):
    """Record inside, whatever is set outside."""

    def __init__(self, on: bool = True) -> None:
        super().__init__(on)


class detect_anomaly(_Mode):
    """Look at what each op and each gradient makes inside: GradientError for the first one that
    makes NaN where its operands have none, with its line.

    Calls of compiled functions are run op by op before their Programs run, so that the line is told
    there too and what is wrong has changed nothing. `inf` refuses infinities that are made of
    finite numbers as well. Each op is waited for; outside of the block nothing is looked at.
    """

    get = staticmethod(_C.anomaly)
    set = staticmethod(_C.set_anomaly)

    def __init__(self, on: bool = True, *, inf: bool = False) -> None:
        super().__init__((2 if inf else 1) if on else 0)

    def again(self) -> detect_anomaly:
        return detect_anomaly(bool(self.on), inf=self.on == 2)


def is_grad_enabled() -> bool:
    """Whether ops are recorded in this thread."""
    return _C.grad_enabled()


def gradients(
    output: Tensor,
    inputs: Sequence[Tensor],
    grad_output: Tensor | None = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> list[Tensor]:
    """d(output)/d(input) for each of `inputs`, weighted by `grad_output`; zeros where unconnected.

    As `torch.autograd.grad`: no `.grad` changes. With `create_graph` the results can be
    differentiated again.
    """
    if not inputs:
        raise GradientError("gradients: no inputs came; give at least one tensor")
    found = _C.gradients(output, grad_output, list(inputs), retain_graph, create_graph)
    return [f if f is not None else x.detach() * 0 for f, x in zip(found, inputs, strict=True)]


def value_and_grad(
    fn: Callable[..., Any], argnums: int | Sequence[int] = 0
) -> Callable[..., tuple[Any, Any]]:
    """A function that returns `fn(*args)` and its gradient by the arguments `argnums`.

    `fn` returns a tensor of one element. The gradient has the structure of `argnums`: a tensor
    for an int, a tuple for a sequence. It can be differentiated again.
    """
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        given = list(args)
        outer = _C.grad_enabled() and any(isinstance(a, Tensor) and a.requires_grad for a in args)
        with enable_grad():
            for i in positions:
                given[i] = _variable(given[i], outer)
            value = _tensor(fn(*given, **kwargs))
            found = gradients(value, [given[i] for i in positions], create_graph=outer)
        if not outer:
            value = value.detach()
        return value, found[0] if isinstance(argnums, int) else tuple(found)

    return wrapped


def _variable(x: Any, outer: bool) -> Tensor:
    """`x` as something to differentiate by: tied to the tape outside where there is one."""
    if not isinstance(x, Tensor):
        raise TypeError(f"grad: the argument is a {type(x).__name__}; give a tensor")
    if outer and x.requires_grad:
        return x * 1
    return x.detach().requires_grad_()


def _tensor(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"grad: the function returned a {type(value).__name__}; return a tensor")
    return value


def grad(fn: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the gradient of `fn` by the arguments `argnums`."""
    both = value_and_grad(fn, argnums)
    return functools.wraps(fn)(lambda *args, **kwargs: both(*args, **kwargs)[1])


def vjp(fn: Callable[..., Any], *primals: Tensor) -> tuple[Any, Callable[[Tensor], Any]]:
    """`fn(*primals)` and a function from a cotangent of it to those of the primals, a tuple."""
    with enable_grad():
        inputs = [_variable(x, False) for x in primals]
        value = _tensor(fn(*inputs))

    def pull_back(cotangent: Tensor) -> tuple[Tensor, ...]:
        return tuple(gradients(value, inputs, cotangent, retain_graph=True))

    return value.detach(), pull_back
