"""Copying a saved state into a module, with all complaints at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .. import Tensor, no_grad
from ..ir.errors import ShapeError

_SHOWN = 5


class IncompatibleKeys(NamedTuple):
    """Keys that the module has and the state lacks, and the reverse."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def shown_name(prefix: str, name: str) -> str:
    """The dotted name of attribute `name` of the module at `prefix`."""
    return f"{prefix}.{name}" if prefix else name


def load(
    owner: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor], strict: bool
) -> IncompatibleKeys:
    """Copy `given` into the tensors `own` of module class `owner`, in place."""
    keys = IncompatibleKeys(
        [name for name in own if name not in given], [name for name in given if name not in own]
    )
    if strict and (keys.missing_keys or keys.unexpected_keys):
        raise RuntimeError(_key_error(owner, keys))
    shared = [name for name in own if name in given]
    wrong = [name for name in shared if tuple(own[name].shape) != tuple(given[name].shape)]
    if wrong:
        raise ShapeError(_shape_error(owner, wrong, own, given))
    with no_grad():
        for name in shared:
            own[name].copy_(given[name])
    return keys


def _key_error(owner: str, keys: IncompatibleKeys) -> str:
    parts = [
        f"{what} {_listed(names)}"
        for what, names in (("missing", keys.missing_keys), ("unexpected", keys.unexpected_keys))
        if names
    ]
    return (
        f"load_state_dict: {' and '.join(parts)}; {owner} needs exactly its own keys, "
        "or give strict=False"
    )


def _shape_error(
    owner: str, wrong: list[str], own: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> str:
    came = ", ".join(f"{n} {tuple(given[n].shape)}" for n in wrong[:_SHOWN])
    needed = ", ".join(str(tuple(own[n].shape)) for n in wrong[:_SHOWN])
    return (
        f"load_state_dict: shapes {came}{_rest(wrong)} came; {owner} has {needed}; "
        "build it as the saved one was"
    )


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + _rest(names)


def _rest(names: list[str]) -> str:
    return f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
