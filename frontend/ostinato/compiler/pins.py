"""`fuse` and `nofuse`: what the user decides of fusion."""

from __future__ import annotations

import itertools

from ..runtime import _C

_numbers = itertools.count(1)


class _Pinned:
    """A block of code whose ops have a pin of their own (see `ir/pins.py`) where it is captured."""

    sign = 0

    def __init__(self) -> None:
        self._before: list[int] = []

    def __enter__(self) -> None:
        pin = self.sign * next(_numbers) if _C.is_capturing() else 0
        self._before.append(_C.exchange_pin(pin))

    def __exit__(self, *error: object) -> None:
        _C.exchange_pin(self._before.pop())


class fuse(_Pinned):
    """`with ot.fuse():` makes one kernel of what is computed inside, in a compiled function.

    Ops there go together wherever that is right, whether or not it is expected to be faster. Where
    they cannot, CompileError names two of them with their lines and the reason. Gradients of these
    ops fuse as they do elsewhere. In eager code the block does nothing.
    """

    sign = 1


class nofuse(_Pinned):
    """`with ot.nofuse():` keeps what is computed inside out of the kernels of everything else.

    What goes in and what comes out passes through memory; ops inside fuse with each other. Of a
    block within a block the inner one counts. In eager code the block does nothing.
    """

    sign = -1
