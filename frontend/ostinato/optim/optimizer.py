"""What all optimizers share: parameter groups of live numbers, and state that tensors hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import Tensor, float64, no_grad
from ..nn.module import clear_grad
from ..ops import functions
from ..runtime import _C

Group = dict[str, Any]


class Optimizer:
    """Changes parameters in place from their gradients.

    `param_groups` is a list of dictionaries: `params`, and the options, which may be changed
    between steps; a captured step reads them again each time. All state is tensors and exists from
    the start, so that a capture sees it.
    """

    def __init__(
        self, params: Iterable[Tensor] | Iterable[Group], defaults: Mapping[str, Any]
    ) -> None:
        self.defaults = dict(defaults)
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self._counters: list[list[Tensor]] = []
        given = list(params)
        if not given:
            raise ValueError(f"{self._name}: no parameters came; give at least one")
        groups: list[Any] = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def init_state(self, p: Tensor, group: Group) -> dict[str, Tensor]:
        """The state of parameter `p` before the first step, but for `step`."""
        return {}

    def counts_steps(self, group: Group) -> bool:
        """Whether the state of the parameters of `group` has `step`, a 0-d float64 counter, which
        `update` finds advanced."""
        return False

    def numbers(self, group: Group) -> tuple[Any, ...]:
        """The options of `group` that `update` takes, live: see `live`."""
        return ()

    def update(
        self, p: Tensor, grad: Tensor, state: dict[str, Tensor], numbers: tuple[Any, ...]
    ) -> None:
        """Change `p` and its `state` in place, by one step along `grad`."""
        raise NotImplementedError(f"{self._name}: update is missing; define it")

    def update_all(self, params: list[Tensor], numbers: tuple[Any, ...]) -> None:
        """`update` each of `params`, which have gradients and share the options of a group."""
        for p in params:
            if (grad := p.grad) is not None:
                self.update(p, grad, self.state[p], numbers)

    def check(self, group: Group) -> None:
        """Raise ValueError where an option is out of range."""

    def add_param_group(self, param_group: Group) -> None:
        """Also train `param_group["params"]`, with the options given there or the defaults."""
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        group = {**self.defaults, **param_group, "params": params}
        unknown = sorted(set(group) - set(self.defaults) - {"params", "initial_lr"})
        if unknown:
            options = ", ".join(self.defaults)
            raise ValueError(f"{self._name}: option '{unknown[0]}' came; give some of {options}")
        self.check(group)
        for p in params:
            self._check_parameter(p)
            self.state[p] = self.init_state(p, group)
        self._counters.append(self._count(params) if self.counts_steps(group) else [])
        self.param_groups.append(group)

    def _count(self, params: list[Tensor]) -> list[Tensor]:
        """Gives each parameter its `step`, on its device: an element of one tensor a device, so
        that one operation advances them all."""
        found: list[Tensor] = []
        for device in dict.fromkeys(p.device for p in params):
            counted = [p for p in params if p.device == device]
            steps = functions.zeros((len(counted),), dtype=float64, device=device)
            for p, step in zip(counted, steps, strict=True):
                self.state[p] = {"step": step, **self.state[p]}
            found.append(steps)
        return found

    def _check_parameter(self, p: Any) -> None:
        if not isinstance(p, Tensor):
            raise TypeError(f"{self._name}: a {type(p).__name__} came; give tensors")
        if not p.is_leaf:
            raise ValueError(
                f"{self._name}: a computed tensor came; give leaves, as parameters are"
            )
        if p in self.state:
            raise ValueError(f"{self._name}: a parameter came twice; give each once")

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        from ..compiler.live import note_options

        note_options(self.param_groups)
        with no_grad():
            for group, counters in zip(self.param_groups, self._counters, strict=True):
                numbers = self.numbers(group)
                changed = [p for p in group["params"] if p.grad is not None]
                if counters:
                    whole = len(changed) == len(group["params"])
                    for step in counters if whole else [self.state[p]["step"] for p in changed]:
                        step.add_(1)
                self.update_all(changed, numbers)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for p in self._params():
            clear_grad(p, set_to_none)

    def _params(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    def state_dict(self) -> dict[str, Any]:
        """State by position of the parameter, and the groups with positions for parameters."""
        position = {p: i for i, p in enumerate(self._params())}
        groups = [
            {**group, "params": [position[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {position[p]: dict(values) for p, values in self.state.items() if values}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over options, and copy state in place.

        Raises ValueError where groups, parameters or shapes differ; nothing is changed then.
        """
        saved = state_dict["param_groups"]
        self._check_groups([len(g["params"]) for g in saved])
        copies: list[tuple[Tensor, Tensor]] = []
        for i, p in enumerate(self._params()):
            copies += self._copies(i, self.state[p], state_dict["state"].get(i, {}))
        with no_grad():
            for own, given in copies:
                own.copy_(given)
        for group, options in zip(self.param_groups, saved, strict=True):
            group.update({name: v for name, v in options.items() if name != "params"})

    def _check_groups(self, came: list[int]) -> None:
        needed = [len(g["params"]) for g in self.param_groups]
        if came != needed:
            raise ValueError(
                f"load_state_dict: groups of {came} parameters came; {self._name} has {needed}"
            )

    def _copies(
        self, index: int, own: dict[str, Tensor], given: Mapping[str, Tensor]
    ) -> list[tuple[Tensor, Tensor]]:
        came = {name: tuple(t.shape) for name, t in given.items()}
        needed = {name: tuple(t.shape) for name, t in own.items()}
        if came != needed:
            raise ValueError(
                f"load_state_dict: state {came} came for parameter {index}; "
                f"{self._name} needs {needed}"
            )
        return [(own[name], given[name]) for name in own]

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def live(group: Group, *options: str) -> tuple[Any, ...]:
    """Options of `group`, pairs as two, as numbers that a captured step reads again each time."""
    from ..compiler.live import current_session, live_number

    found: list[Any] = []
    session = current_session()
    is_plain = session is None or session.following  # Python reads it again each time
    for option in options:
        value: Any = group[option]
        parts: list[Any] = [*value] if isinstance(value, tuple) else [value]
        if is_plain:
            found += parts
            continue
        path = _C.Path(group).item(option)
        for i in range(len(parts)):
            part = path.item(i) if isinstance(value, tuple) else path
            found.append(live_number((id(group), option, i), part))
    return tuple(found)


def check_range(name: str, option: str, value: float, low: float, below: float | None) -> None:
    """Raise ValueError unless low <= value (< below)."""
    if not low <= value or (below is not None and value >= below):
        upper = "" if below is None else f" and less than {below:g}"
        raise ValueError(f"{name}: {option} {value} came; give at least {low:g}{upper}")
