"""Functions with a cache, `functools.lru_cache`: what they give changes where it is emptied."""

from __future__ import annotations

import functools
from typing import Any
from weakref import WeakValueDictionary

CACHED: Any = type(functools.lru_cache(lambda: None))


class Cache:
    """The cache of a function, as captures rely on it."""

    def __init__(self, fn: Any) -> None:
        self.fn = fn
        self._count, self._found = 0, (0, 0)

    @property
    def filled(self) -> int:
        """How often something had come into it, or gone, when that was looked at."""
        info = self.fn.cache_info()
        found = info.misses, info.currsize
        if found != self._found:
            self._count, self._found = self._count + 1, found
        return self._count


_every: WeakValueDictionary[int, Cache] = WeakValueDictionary()  # by id of the function


def cache_of(fn: Any) -> Cache:
    """That of a function, the same for all captures."""
    found = _every.get(id(fn))
    if found is None:
        found = _every[id(fn)] = Cache(fn)
    return found
