"""The root of all layers: a tree of modules that finds its parameters and buffers by type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

from .. import DType, Tensor, bfloat16, device, float16, float32, float64, no_grad
from ..compiler.live import note_module
from ..runtime import _C
from .parameter import Parameter
from .state import IncompatibleKeys, load, shown_name


class Module:
    """What has parameters and a `forward`.

    Parameters, buffers and modules are ordinary attributes, listed in the order of their first
    assignment. Subclasses write `forward`; calling the module calls it.
    """

    training: bool = True
    # Names of buffers, and whether state_dict holds them; an instance that has some has its own.
    _buffer_names: Mapping[str, bool] = MappingProxyType({})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The result of the module; each subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__}: forward is missing; define it")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _C.is_learning():
            note_module(self)
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        plain = isinstance(value, Tensor) and not isinstance(value, Parameter)
        if plain and isinstance(self.__dict__.get(name), Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name}: a Tensor came for a parameter; give an "
                "nn.Parameter, or change the old one in place under no_grad"
            )
        object.__setattr__(self, name, value)
        _C.note_module_change()

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        _C.note_module_change()

    def register_parameter(self, name: str, value: Parameter | None) -> None:
        """Same as assigning the attribute."""
        setattr(self, name, value)

    def register_buffer(self, name: str, value: Tensor | None, persistent: bool = True) -> None:
        """Make `value` the attribute `name`: state that moves with the module and is not trained.

        `state_dict` holds it if it is `persistent`.
        """
        self.__dict__["_buffer_names"] = {**self._buffer_names, name: persistent}
        setattr(self, name, value)

    def add_module(self, name: str, module: Module | None) -> None:
        """Same as assigning the attribute; the way to names that are no identifiers."""
        setattr(self, name, module)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes of this one, with their names."""
        seen: set[int] = set()
        for name, value in list(vars(self).items()):
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules that are attributes of this one."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below, each once, with dotted names; this one's is `prefix`."""
        return _walk(self, prefix, set())

    def modules(self) -> Iterator[Module]:
        """This module and all below, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with dotted names; one that is shared comes once."""
        return _distinct(_members(self, prefix, recurse, _own_parameters))

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters; one that is shared comes once."""
        return (value for _, value in self.named_parameters("", recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """All buffers with dotted names; one that is shared comes once."""
        return _distinct(_members(self, prefix, recurse, _own_buffers))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers; one that is shared comes once."""
        return (value for _, value in self.named_buffers("", recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at the dotted name `target`. Raises AttributeError where there is none."""
        found: Any = self
        for name in target.split(".") if target else ():
            found = vars(found).get(name)
            if not isinstance(found, Module):
                raise AttributeError(f"get_submodule: {type(self).__name__} has no '{target}'")
        return found

    def train(self, mode: bool = True) -> Self:
        """Put this module and all below in training mode, or in evaluation mode."""
        for module in self.modules():
            if module.training != mode:
                module.training = mode
        return self

    def eval(self) -> Self:
        """Put this module and all below in evaluation mode: dropout passes all through."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say whether all parameters ask for gradients."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for p in self.parameters():
            clear_grad(p, set_to_none)

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call `fn` on all modules below, then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device or floating-point dtype: `to("cuda")`, `to(ot.float64)`, or both.

        Parameters and buffers stay the same objects; integer buffers keep their dtype. With
        `non_blocking`, copies from pinned memory are only queued.
        """
        given = [a for a in args if isinstance(a, DType)] + [kwargs.get("dtype")]
        if given[0] is not None and not given[0].is_floating_point:
            raise TypeError(f"to: dtype {given[0]} came; a module needs a floating-point one")
        places = [a for a in args if not isinstance(a, DType)] + [kwargs.get("device")]
        later = kwargs.get("non_blocking", False)
        return self._convert(lambda t: _moved(t, places[0], given[0], later))

    def cuda(self, device: device | str | int | None = None) -> Self:
        """Move to a CUDA device: the current one, or `device`."""
        return self._convert(lambda t: t.cuda(device))

    def cpu(self) -> Self:
        """Move to the CPU."""
        return self.to("cpu")

    def float(self) -> Self:
        """Make parameters and floating-point buffers float32."""
        return self.to(float32)

    def double(self) -> Self:
        """Make parameters and floating-point buffers float64."""
        return self.to(float64)

    def half(self) -> Self:
        """Make parameters and floating-point buffers float16."""
        return self.to(float16)

    def bfloat16(self) -> Self:
        """Make parameters and floating-point buffers bfloat16."""
        return self.to(bfloat16)

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, detached, sharing storage."""
        return {name: value.detach() for name, value in self._state()}

    def load_state_dict(
        self, state_dict: Mapping[str, Tensor], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into parameters and buffers; nothing is copied where anything is wrong.

        Returns the missing and the unexpected keys. Raises RuntimeError where there are some and
        `strict` is set, ShapeError where a shape differs.
        """
        return load(type(self).__name__, dict(self._state()), state_dict, strict)

    def extra_repr(self) -> str:
        """What `repr` shows of this module besides its modules."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}" for name, child in _all_children(self)]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        body = "\n".join([*filter(None, [self.extra_repr()]), *lines])
        return f"{type(self).__name__}(\n  " + body.replace("\n", "\n  ") + "\n)"

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, module in _walk(self, "", None):
            for name, value in (*_own_parameters(module), *_own_buffers(module)):
                if module._buffer_names.get(name, True):
                    yield shown_name(prefix, name), value

    def _convert(self, fn: Callable[[Tensor], Tensor]) -> Self:
        with no_grad():
            for p in self.parameters():
                now = p.data
                moved = fn(now)
                if moved is not now:
                    grad, p.grad = p.grad, None
                    p.data = moved
                    p.grad = None if grad is None else fn(grad)
            for module in self.modules():
                for name, value in list(_own_buffers(module)):
                    setattr(module, name, fn(value))
        return self


def clear_grad(p: Tensor, set_to_none: bool) -> None:
    """Drop the gradient of `p`, or fill it with zeros."""
    if set_to_none:
        p.grad = None
    elif p.grad is not None:
        with no_grad():
            p.grad.zero_()


def _walk(module: Module, prefix: str, seen: set[int] | None) -> Iterator[tuple[str, Module]]:
    if seen is not None:
        if id(module) in seen:
            return
        seen.add(id(module))
    note_module(module)
    yield prefix, module
    for name, child in _all_children(module):
        yield from _walk(child, shown_name(prefix, name), seen)


def _all_children(module: Module) -> list[tuple[str, Module]]:
    return [(n, v) for n, v in vars(module).items() if isinstance(v, Module)]


def _own_parameters(module: Module) -> Iterator[tuple[str, Parameter]]:
    return ((n, v) for n, v in vars(module).items() if isinstance(v, Parameter))


def _own_buffers(module: Module) -> Iterator[tuple[str, Tensor]]:
    named = ((n, vars(module).get(n)) for n in module._buffer_names)
    return ((n, v) for n, v in named if isinstance(v, Tensor))


def _members(module: Module, prefix: str, recurse: bool, own: Any) -> Iterator[tuple[str, Any]]:
    for path, owner in _walk(module, prefix, set()) if recurse else [(prefix, module)]:
        for name, value in own(owner):
            yield shown_name(path, name), value


def _distinct(members: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    seen: set[int] = set()
    for name, value in members:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def _moved(t: Tensor, device: Any, to: Any, non_blocking: bool) -> Tensor:
    dtype = to if t.is_floating_point() else None
    return t.to(device, dtype, non_blocking=non_blocking)
