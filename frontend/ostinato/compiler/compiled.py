"""A compiled function: what to capture, when to replay, and what to give back."""

from __future__ import annotations

import inspect
import os
import random
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, update_wrapper
from types import MappingProxyType, MethodType
from typing import TYPE_CHECKING, Any, Literal

from ..ir.errors import CaptureError, DivergenceWarning, RecompileWarning
from ..runtime import _C
from . import build as _build
from .attempt import Attempt, Policy, Unrepeatable
from .call_key import CallKey, key_of
from .check import Check, Mismatch, When
from .effects import Restart
from .follow import LIMIT, Break, Followed, install, refusal
from .frames import user_depth
from .ledger import Action, Cause, Event, Ledger, Record, key_cause, misfit, react
from .naming import function_name, global_name, runs_between_calls
from .padding.buckets import Dims
from .padding.padder import Padder
from .recording.channels import Channels
from .recording.table import Watched, watched
from .region import Region
from .sizes.recapture import Call
from .sizes.sized import MOST_SIZES, Sized
from .variant import Variant, flattened
from .verification import Verification

if TYPE_CHECKING:
    from .explain import Explanation, Kernels
    from .padding.bucketed import Bucketed
    from .sizes.family import Family

Verify = Literal["trust", "follow"] | float | None


Run = Callable[[], Any]
"""Gives what a call returns."""


class _Full(Exception):
    """A call of sizes that are served needs a capture of its own after all, past the limit."""


@dataclass
class Entry:
    """What is known of calls with one key: variants to replay, or how the function is followed."""

    variants: list[Variant] = field(default_factory=list[Variant])
    followed: Followed | None = None


class Compiled:
    """A function whose calls are captured once and replayed. Made by `compile`."""

    def __init__(
        self, fn: Callable[..., Any], fullgraph: bool = False, verify: Verify = None,
        check: When | None = None, limit: int = LIMIT,
        on_event: Mapping[Event, Action] = MappingProxyType({}), dims: Dims = MappingProxyType({}),
    ) -> None:  # fmt: skip
        update_wrapper(self, fn)
        self.fn = fn
        self.name = function_name(fn)
        self.fullgraph, self.verify = fullgraph, verify
        self.check = None if check is None else Check(check, self.name)
        self.limit, self.on_event, self._dims = limit, on_event, dims
        self.ledger = Ledger()
        self.channels = Channels(self.name)
        self.entries: dict[CallKey, Entry] = {}
        self._last_key: CallKey | None = None
        self._gave_up = False
        self._capturing = threading.Lock()
        self._chance = random.Random()  # the user's random numbers stay as they are
        self._table = _C.CallTable()
        sized = Sized(fn, self.name)
        self._sized = Padder(fn, self.name, dims, sized) if dims else sized
        self._runs_between_calls = runs_between_calls(fn)
        install()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        made = self._table.call(args, kwargs)
        if made is not NotImplemented:
            return made
        if _C.is_capturing() or self._runs_between_calls:
            return self.fn(*args, **kwargs)
        leaves, structure = flattened((args, kwargs))
        call = Call(key_of(structure, leaves), leaves, structure)
        run = self._known(call, args, kwargs)
        if run is None:
            # Another thread captures, and may wait for this one: its call runs eagerly.
            if not self._capturing.acquire(blocking=False):
                return self.fn(*args, **kwargs)
            try:
                run = self._known(call, args, kwargs) or self._new(call, args, kwargs)
            finally:
                self._capturing.release()
        return run()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> Any:
        """A copy, or what is loaded again, is captured anew; a decorated function goes by its
        name, as functions do."""
        check = None if self.check is None else self.check.when
        given = (self.fn, self.fullgraph, self.verify, check, self.limit, dict(self.on_event))
        return global_name(self) or (Compiled, (*given, dict(self._dims)))

    def _known(self, call: Call, args: Any, kwargs: Any) -> Run | None:
        """What runs a call like those before; None where it needs a capture."""
        entry, leaves = self.entries.get(call.key), call.leaves
        if entry is None:
            return None
        for variant in entry.variants:
            if variant.fits(leaves):
                if isinstance(self.verify, float) and self._chance.random() < self.verify:
                    return partial(self._verified, entry, variant, leaves, args, kwargs)
                return partial(variant.replay, leaves)
        return entry.followed and partial(entry.followed.call, self.fn, args, kwargs)

    def _new(self, call: Call, args: Any, kwargs: Any) -> Run:
        """What runs a call that needs a capture, where the limit allows one."""
        key, leaves = call.key, call.leaves
        entry = self.entries.get(key) or Entry()
        cause = self._cause(entry, key, leaves)
        if not self._sized.has_family(key):
            if self._is_full:
                return self._past_the_limit(cause, args, kwargs)
            self._react(cause)
        self.entries[key], self._last_key = entry, key
        try:
            return self._captured(entry, cause, call, args, kwargs)
        except _Full:
            return self._past_the_limit(cause, args, kwargs)

    @property
    def _is_full(self) -> bool:
        return len(self.ledger) >= self.limit

    def _cause(self, entry: Entry, key: CallKey, leaves: list[Any]) -> Cause | None:
        """Why another capture is needed; None for the first."""
        if self._last_key is None:
            return None
        variants = entry.variants
        return misfit(variants[-1].region, leaves) if variants else key_cause(self._last_key, key)

    def _react(self, cause: Cause | None) -> None:
        if cause is not None:
            action = self.on_event.get("recompile", "ignore")
            react("recompile", action, f"{self.name}: {cause}")

    def _past_the_limit(self, cause: Cause | None, args: Any, kwargs: Any) -> Run:
        """What runs a call eagerly, after it was said once that there is no capture any more."""
        if not self._gave_up:
            self._gave_up = True
            self._react(cause)
            text = (
                f"{self.name}: {self.limit} captures are the limit, and calls that need another "
                f"run eagerly; the last reason: {cause}. Its ledger has all; compile takes a limit"
            )
            warnings.warn(text, RecompileWarning, stacklevel=user_depth())
        return partial(self.fn, *args, **kwargs)

    def _captured(
        self, entry: Entry, cause: Cause | None, call: Call, args: Any, kwargs: Any
    ) -> Run:
        leaves = call.leaves
        if self.verify == "follow":
            followed = self._followed("verify='follow' asks for it")
            return self._follow(entry, cause, followed, leaves, args, kwargs)
        _expect_compiling(leaves)
        follows = self.verify != "trust"
        breaks = not self.fullgraph and self.on_event.get("break") != "raise"
        policy = Policy(follows, follows and breaks)
        make = partial(self._built, call, cause)
        attempt = Attempt(
            self.fn, self.name, leaves, call.structure, policy, self.check, make, self.channels,
            (args, kwargs),
        )  # fmt: skip
        try:
            found = attempt.run()
        except Restart as restart:
            found = str(restart)  # what it holds goes away before the call starts again
        attempt.forget()
        if isinstance(found, str):
            if self._sized.has_family(call.key):
                if self._is_full:
                    raise _Full
                self._react(cause)
            return self._follow(entry, cause, self._followed(found), leaves, args, kwargs)
        if isinstance(found, Unrepeatable):
            self._note_followed(entry, cause, self._followed(found.why), leaves, args, kwargs)
            return partial(_itself, found.result)
        self._note(entry, cause, variant=found)
        if self._runs_unseen and found.built.padding is None:
            self._table.add(found.replays, args, kwargs, leaves, found.result_of())
        return partial(found.replay, leaves)

    def _built(self, call: Call, cause: Cause | None, region: Region) -> _build.Built:
        """The Programs of a captured region: those for any sizes, or its own."""
        waited = self._sized.has_family(call.key)
        built = self._sized.built(call, region)
        is_known = built is not None and built.family is not None and built.family.members
        if waited and not is_known:
            if self._is_full:
                raise _Full
            self._react(cause)
        if built is None:
            built = _build.build(region, self.name)
            built.fixed = self._sized.why_fixed(call.key)
        return built

    def _follow(
        self, entry: Entry, cause: Cause | None, followed: Followed, leaves: list[Any], args: Any,
        kwargs: Any,
    ) -> Run:  # fmt: skip
        self._note_followed(entry, cause, followed, leaves, args, kwargs)
        return partial(followed.call, self.fn, args, kwargs)

    def _note_followed(
        self, entry: Entry, cause: Cause | None, followed: Followed, leaves: list[Any], args: Any,
        kwargs: Any,
    ) -> None:  # fmt: skip
        self._note(entry, cause, followed=followed)
        if not isinstance(self.verify, float):
            call = partial(followed.call, self.fn)
            self._table.add_call(call, args, kwargs, leaves)

    def _note(
        self, entry: Entry, cause: Cause | None, variant: Variant | None = None,
        followed: Followed | None = None,
    ) -> None:  # fmt: skip
        code = getattr(inspect.unwrap(self.fn), "__code__", None)
        line = f"{code.co_filename}:{code.co_firstlineno}" if code else ""
        if variant is None or self._is_new(variant):
            self.ledger.append(Record(self.name, line, cause, variant, followed))
        if variant is not None:
            entry.variants.append(variant)
        entry.followed = followed or entry.followed

    def _is_new(self, variant: Variant) -> bool:
        """Whether it is more than another size for what was compiled before."""
        family = variant.built.family
        if family is None:
            return True
        family.members.append(variant)
        if len(family.members) > MOST_SIZES:
            self._forget(family, family.members.pop(0))
        return len(family.members) == 1 and not family.past_calls

    def _forget(self, family: Family | Bucketed, member: Variant) -> None:
        """Lets go of one of too many sizes, which may come again."""
        family.past_calls += member.calls
        if member.built.padding is None:
            self._table.remove(member.replays)
        for entry in self.entries.values():
            if member in entry.variants:
                entry.variants.remove(member)

    def _followed(self, why: str) -> Followed:
        if isinstance(self._sized, Padder):
            why += "; its regions are not padded"
        return Followed(
            self.name, why, check=self.check, limit=self.limit, on_break=self._on_break,
            channels=self.channels,
        )  # fmt: skip

    def _on_break(self, found: Break) -> None:
        if self.fullgraph:
            raise CaptureError(refusal(found.why, found.line))
        action = self.on_event.get("break", "ignore")
        react("break", action, f"{self.name}: {found.why} at {found.line}")

    def assert_ledger(self, path: str | os.PathLike[str]) -> None:
        """AssertionError where the ledger is not the text in `path`, as `ledger.write` left it."""
        self.ledger.compare(path)

    @property
    def _runs_unseen(self) -> bool:
        """Whether a replay needs no Python that looks at it."""
        return self.check is None and not isinstance(self.verify, float)

    def _verified(
        self, entry: Entry, variant: Variant, leaves: list[Any], args: Any, kwargs: Any
    ) -> Any:
        """A call for which Python runs, and that must do what `variant` would have done."""
        followed = entry.followed or self._followed("")
        run = Verification(followed, leaves)
        with run:
            result = self.fn(*args, **kwargs)
        line = run.difference(variant.region.nodes)
        if line is not None:
            entry.variants.remove(variant)
            self._note(entry, None, followed=followed)
            followed.why = f"it did something else than when it was captured, first at {line}"
            warnings.warn(
                f"{self.name}: {followed.why}", DivergenceWarning, stacklevel=user_depth()
            )
        return result

    @property
    def variants(self) -> list[Variant]:
        """All that can be replayed, oldest first of each key."""
        return [v for entry in self.entries.values() for v in entry.variants]

    @property
    def mismatches(self) -> list[Mismatch]:
        """What `check` found, a Mismatch for each call that gave something wrong."""
        return [] if self.check is None else self.check.mismatches

    @property
    def breaks(self) -> list[Any]:
        """Where regions end before the function does; see `follow.Break`."""
        every = [e.followed for e in self.entries.values() if e.followed is not None]
        return [b for followed in every for b in followed.breaks.values()]

    def ir(self, stage: str = "fused") -> str:
        """The IR of the newest variant after `stage`, as text that parses back."""
        built = self._newest().built
        texts = built.dumps = built.dumps or built.stages()
        if stage not in texts:
            texts = texts | built.narrowed_stages()
        if stage not in texts:
            raise ValueError(f"ir: stage '{stage}' came; give one of {', '.join(texts)}")
        return texts[stage]

    def explain(self) -> Explanation:
        """What became of the function: regions, breaks, kernels with their lines, bytes and
        operations, memory by line, why values pass through memory, and what making it took."""
        from .explain.report import explanation

        return explanation(self)

    def watched(self, clear: bool = False) -> Watched:
        """What `ot.watch` recorded in it; see `ot.watched`."""
        return watched([self.channels], clear)

    def kernels(self) -> Kernels:
        """The generated kernels of all regions: their source, launches, your lines and, on a GPU,
        registers and shared memory. The passes run again for it."""
        from .explain.kernels import kernels_of

        return kernels_of(self)

    def _newest(self) -> Variant:
        regions = [
            r for e in self.entries.values() if e.followed for r in e.followed.regions.values()
        ]
        every = [*regions, *self.variants]
        if not every:
            raise CaptureError(f"{self.fn.__name__}: not captured yet; call the function first")
        return every[-1]


def _itself(value: Any) -> Any:
    return value


def _expect_compiling(leaves: Sequence[Any]) -> None:
    """Starts the compiler of GPU kernels where an argument lies on a GPU: it takes a second, which
    is that of the capture and the passes."""
    if any(str(getattr(leaf, "device", "cpu")).startswith("cuda") for leaf in leaves):
        from ..codegen.triton import client

        if client.is_installed():
            client.start()
