"""Which algorithm of cuBLASLt each matrix product of a Program for a GPU runs by.

The library proposes several for a product; the one that is fastest on this device is found by
trying them, and kept on disk, so that later processes compute the same bits.
"""

from __future__ import annotations

import os
from typing import Any

from ..runtime import _C
from . import cache

TUNE = "OSTINATO_TUNE"
"""The environment variable: `0` takes what the library proposes first and measures nothing."""

Choice = tuple[bytes, int, float, float]
"""The library's bytes, the workspace, the seconds it took, and those of the first proposal."""


def choose_products(program: Any, device: str) -> None:
    """Choose for all products of `program`, a `CompiledProgram` for the CUDA device `device`."""
    if os.environ.get(TUNE) == "0":
        return
    place = f"{_C.cuda_properties(device)['name']}, cuBLASLt {_C.cublaslt_version()}"

    def recall(product: str) -> Choice | None:
        found = cache.load(cache.measurement_key(f"{place}: {product}"))
        return None if found is None else _choice_from(*found)

    def keep(product: str, choice: Choice) -> None:
        algorithm, workspace, seconds, first = choice
        record = {"device": place, "product": product, "workspace": workspace,
                  "seconds": seconds, "first_seconds": first}  # fmt: skip
        cache.store(cache.measurement_key(f"{place}: {product}"), record, algorithm)

    program.choose_products(recall, keep)


def _choice_from(record: dict[str, Any], algorithm: bytes) -> Choice:
    return algorithm, record["workspace"], record["seconds"], record["first_seconds"]
