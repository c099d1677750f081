"""`@compile`: the options, and what they ask of a function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast, get_args

from .check import When
from .compiled import Compiled, Verify
from .follow import LIMIT
from .ledger import Action, Event
from .padding.buckets import Dims


def compile(
    fn: Callable[..., Any] | None = None, *, fullgraph: bool = False, verify: Verify = None,
    check: When | None = None, limit: int = LIMIT,
    on_event: Mapping[Event, Action] = MappingProxyType({}), dims: Dims = MappingProxyType({}),
) -> Any:  # fmt: skip
    """A decorator: calls of `fn` are captured on first sight, compiled, and then replayed.

    Gradients, in-place changes and optimizer steps inside are part of the region. Tensors that
    `fn` reads without getting them as arguments become inputs; Python numbers used as values stay
    live. A new dtype of an argument captures a new variant, and so does its second shape: on the
    CPU that one is for any sizes of the dimensions that varied, within ranges that the `ledger`
    tells, where all that depends on them is a polynomial of theirs. Each size that comes is
    captured once, and shares what is compiled.

    A function that needs a value in the middle (`item()`, an `if` on a tensor, NumPy), or that
    does what a replay would leave out (it counts, prints, draws from `random`), is followed: its
    Python runs at each call, ops are recorded and not launched, and the regions between the
    breaks are launched as a whole. `explain()` lists breaks.

    fullgraph: CaptureError instead of a break, with its line, what asked for the value and what
        to do.
    verify: "follow" has Python run at each call. "trust" allows replays alone: CaptureError names
        what one would leave out. A probability: that share of the replays is followed instead and
        compared; where the function does something else than it did, DivergenceWarning names the
        first line that differs, the call gives what the function does now, and it is followed
        from then on.
    check: regions also run by eager ops on the same inputs and random state: the first call of
        each variant for "first", every so many calls for an int, with that probability for a
        float. Results, in-place changes, grads and what backward gives are compared, within what
        ops promise. Where they differ, the call returns and leaves behind what eager ops give, and
        CheckWarning names the first wrong value, the pass and the op that made it wrong, and the
        line; `mismatches` has the same as data. That variant runs by eager ops from then on.
    limit: how many captures there may be; calls that would need more run eagerly, and
        RecompileWarning says so once, with the last reason.
    on_event: what to do at a "recompile" or a "break": "ignore", "warn" or "raise". The `ledger`
        has each capture as data: why it was needed, with line, old and new value and what would
        avoid it, guards, seconds and hits; `assert_ledger` compares its text with a file's.
    dims: buckets of sizes, `{"x": {0: Bucket(64, 128)}}`: axis 0 of argument x is padded up to the
        smallest that fits, which one variant serves. Results are as without: padding is masked
        where ops would read it, and where that cannot be CaptureError names the op and its line.
        Sizes beyond the largest have variants of their own.
    """
    _check(verify, limit, on_event)
    if fn is None:
        return functools.partial(
            compile, fullgraph=fullgraph, verify=verify, check=check, limit=limit,
            on_event=on_event, dims=dims,
        )  # fmt: skip
    from ..nn import Module

    if isinstance(fn, Module):
        fn = fn.forward
    if not callable(fn):
        raise TypeError(f"compile: {fn!r} came; give a function or a module")
    return Compiled(fn, fullgraph, verify, check, limit, on_event, dims)


def _check(verify: Any, limit: Any, on_event: Any) -> None:
    """ValueError where an option is none that there is."""
    if not (verify in (None, "trust", "follow") or (isinstance(verify, float) and 0 < verify < 1)):
        raise ValueError(
            f"compile: verify {verify!r} came; give 'trust', 'follow', or a probability between "
            "0.0 and 1.0"
        )
    if type(limit) is not int or limit < 1:
        raise ValueError(f"compile: limit={limit!r} came; give a number of captures from 1 on")
    is_mapping = isinstance(on_event, Mapping)
    events: Any = cast("Any", on_event).items() if is_mapping else [(on_event, None)]
    for event, action in events:
        if event not in get_args(Event) or action not in get_args(Action):
            raise ValueError(
                f"compile: on_event={on_event!r} came; give for 'recompile' or 'break' one of "
                "'ignore', 'warn' and 'raise'"
            )
