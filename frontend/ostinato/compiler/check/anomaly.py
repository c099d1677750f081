"""Calls of compiled functions within `detect_anomaly`: op by op, then by the Program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...ir.errors import GradientError
from ...runtime import _C
from .closeness import array_of
from .compared import EagerCall, described

if TYPE_CHECKING:
    from ..variant import Variant


def run_looked_at(variant: Variant, leaves: list[Any]) -> list[Any]:
    """What a call returns. GradientError where an op makes what is refused; nothing is changed
    then.

    Of a region with a backward Program the ops are what is handed out, so that its gradients are
    looked at one by one too. Of an edited region what runs is the edit.
    """
    if variant.built.edits is not None:
        from .edited import look_at_edits

        look_at_edits(variant.region, variant.built.edits, variant.replays.inputs(leaves))
        return variant.replays.run(leaves)
    eager = EagerCall(variant, leaves)
    region, replays = variant.region, variant.replays
    if region.ties.results or region.ties.spent:
        return eager.hand_out()
    made = replays.launch(leaves)
    results = dict(zip(replays.wanted, made, strict=True))
    results |= {at: eager.inputs[i] for at, i in region.writes}
    for at, found in results.items():
        if _refuses(found, eager.values[at]):
            raise GradientError(
                f"detect_anomaly: {described(region, at)} of a compiled function has NaN or "
                'infinities that its ops do not make one by one; compile it with check="first", '
                "which names the pass that is wrong"
            )
    return replays.hand_out(leaves, made)


def _refuses(found: Any, expected: Any) -> bool:
    """Whether elements are not finite where they should be."""
    if not found.dtype.is_floating_point:
        return False
    return bool((_is_refused(found) & ~_is_refused(expected)).any())


def _is_refused(tensor: Any) -> Any:
    elements = array_of(tensor)
    return np.isnan(elements) if _C.anomaly() == 1 else ~np.isfinite(elements)
