"""Programs of eager code: from the disk where the same was derived before, else from the rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ..ir.dtypes import DType
from ..runtime import _C
from . import cache

FORMAT = 2
"""Of the data that `_C.Program` reads (`ir/slots.py` writes it)."""


def program_of(*call: Any) -> tuple[_C.Program, bool]:
    """The Program of a call, described as `ir.symbolic.derive` takes it; True if it is derived."""

    def derive() -> dict[str, Any]:
        from ..ir import ops as ops
        from ..ir.symbolic import derive

        return derive(*call)

    return _cached(("call", *call), derive)


def tape_program_of(*tape: Any) -> tuple[_C.Program, bool]:
    """The Program of a tape, described as `ir.tape.derive_tape` takes it; True if it is derived."""

    def derive() -> dict[str, Any]:
        from ..ir import ops as ops
        from ..ir.tape import derive_tape

        return derive_tape(*tape)

    return _cached(("tape", *tape), derive)


def _cached(
    description: Sequence[Any], derive: Callable[[], dict[str, Any]]
) -> tuple[_C.Program, bool]:
    text = json.dumps((FORMAT, *description), default=_named)
    key = cache.derivation_key(text)
    if (found := cache.load(key)) is not None:
        try:
            return _C.Program(found[0]), False
        except Exception as error:
            cache.discard(key, str(error))
    spec = derive()
    cache.store(key, spec, b"")
    return _C.Program(spec), True


def _named(value: Any) -> str:
    assert isinstance(value, DType), f"{value!r} is no part of a structural key"
    return value.name
