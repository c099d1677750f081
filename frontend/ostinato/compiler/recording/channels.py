"""Where watched values go: a channel for each name, of each function that is compiled."""

from __future__ import annotations

import atexit
import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...runtime import _C


@dataclass(frozen=True)
class Named:
    """A channel, the name that `watch` was given, and the line that was there first."""

    name: str
    line: str
    channel: _C.Channel


class Channels:
    """Those of one compiled function; of what runs outside of these, with the name ""."""

    def __init__(self, function: str = "") -> None:
        self.function = function
        self._by_name: dict[str, Named] = {}
        _known[next(_numbers)] = self

    def find(self, name: str, line: str, keep: int) -> _C.Channel:
        """The channel called `name`, or that of `line`; a new one keeps so many values."""
        found = self._by_name.get(name or line)
        if found is None:
            found = self._by_name[name or line] = Named(name, line, _C.Channel(keep))
        return found.channel

    def forget(self) -> None:
        """Lets go of all channels."""
        self._by_name.clear()

    def __iter__(self) -> Iterator[Named]:
        return iter(self._by_name.values())


@dataclass(frozen=True)
class Fed:
    """What a capture has for a channel: tensors that say what a value is, and every how many calls
    it is kept; `read` gives that number again where it can change."""

    channel: _C.Channel
    parts: list[_C.Tensor]
    every: int
    read: Callable[[Sequence[Any]], Any] | None


@dataclass
class Feeds:
    """What of a capture is watched. `held` are the tensors of a call that is followed, until all
    its regions have run: a region makes only what somebody has."""

    channels: Channels
    call: int = field(default_factory=_C.next_call)
    fed: list[Fed] = field(default_factory=list[Fed])
    held: list[list[_C.Tensor]] = field(default_factory=list[list[_C.Tensor]])

    def begin(self) -> None:
        """Another call of a function that is followed."""
        self.call = _C.next_call()
        self.held.clear()

    def hand_over(self) -> None:
        """The capture is about to run, and no replay is made of it."""
        for each in self.fed:
            each.channel.add(self.call, each.every, each.parts)
        self.fed.clear()


_numbers = itertools.count()
_known: weakref.WeakValueDictionary[int, Channels] = weakref.WeakValueDictionary()
EAGER = Channels()
atexit.register(EAGER.forget)  # while objects of the extension can go away


def all_channels() -> list[Channels]:
    """Those of all functions there are."""
    return sorted(_known.values(), key=lambda c: c.function)
