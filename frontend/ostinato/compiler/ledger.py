"""What a compiled function was captured for, each time, and why: data, not logs."""

from __future__ import annotations

import builtins
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, Literal, cast

from ..ir.errors import CaptureError, RecompileWarning
from ..runtime import _C
from .call_key import CallKey, Leaf, NumberLeaf, ObjectLeaf, Settings, TensorLeaf
from .follow import Followed
from .frames import user_depth
from .lookup import NOTHING, shared_of
from .passed import add_seconds
from .region import Region, Source
from .variant import Variant

if TYPE_CHECKING:
    from .padding.bucketed import Bucketed
    from .sizes.family import Family

Event = Literal["recompile", "break"]
Action = Literal["ignore", "warn", "raise"]


@dataclass(frozen=True)
class Cause:
    """Why what was there did not fit a call: what differs, where it is read, and what would avoid
    another capture."""

    what: str
    line: str
    old: str
    new: str
    advice: str

    def __str__(self) -> str:
        at = f" at {self.line}" if self.line else ""
        return f"{self.what}{at} was {self.old}, is {self.new}; {self.advice}"


@dataclass(frozen=True)
class Record:
    """One capture. `variant` is what is replayed, or `followed` how the function is followed."""

    function: str
    line: str  # of the function
    cause: Cause | None  # None for the first
    variant: Variant | None
    followed: Followed | None

    @property
    def family(self) -> Family | Bucketed | None:
        """All sizes that the variant is for, where that is more than one."""
        return None if self.variant is None else self.variant.built.family

    @property
    def sizes(self) -> list[str]:
        """The sizes that it is for where that is more than one, with the range of each, a line a
        size; or why it is not though another size came before, or a bucket was given."""
        if self.family is not None:
            return self.family.lines
        fixed = "" if self.variant is None else self.variant.built.fixed
        return [f"sizes are fixed: {_short(fixed)}"] if fixed else []

    @property
    def hits(self) -> int:
        """How many calls it served."""
        if self.family is not None:
            return self.family.calls
        if self.variant is not None:
            return self.variant.calls
        return 0 if self.followed is None else self.followed.calls

    @property
    def seconds(self) -> dict[str, float]:
        """What capturing, each pass and code generation took."""
        made = list(self.followed.regions.values()) if self.followed is not None else []
        every = [v.built for v in (self.variant, *made) if v is not None]
        parts = [s for built in every for s in (built.seconds, *(p.seconds for p in built.parts))]
        total: dict[str, float] = {}
        for part in (*parts, {} if self.family is None else self.family.seconds):
            add_seconds(total, part)
        return total

    @property
    def guards(self) -> list[str]:
        """What a replay relies on besides its arguments' shapes and types, a line each."""
        return [] if self.variant is None else list(_guards_of(self.variant.region))

    def text(self) -> str:
        """Lines without times or addresses, to be compared."""
        kind = "variant" if self.variant is not None else "followed"
        lines = [f"{kind} of {self.function} ({_short(self.line)}): "
                 f"{'first call' if self.cause is None else _short(str(self.cause))}"]  # fmt: skip
        if self.followed is not None:
            lines.append(f"  because {_short(self.followed.why)}")
            breaks = self.followed.breaks.values()
            lines += [f"  break at {_short(b.line)}: {b.why}" for b in breaks]
            lines += [f"  edited: {file}" for r in self.followed.regions.values()
                      for file in r.built.edited]  # fmt: skip
            if self.followed.gave_up:
                lines.append(f"  runs eagerly: {self.followed.limit} regions were not enough")
        if self.variant is not None:
            lines += [f"  edited: {file}" for file in self.variant.built.edited]
        lines += [f"  {size}" for size in self.sizes]
        return "\n".join(lines + [f"  guard {_short(g)}" for g in self.guards])


class Ledger(list[Record]):
    """The captures of one function, oldest first."""

    def __str__(self) -> str:
        return "".join(record.text() + "\n" for record in self)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the text form, for `compare` to find."""
        Path(path).write_text(str(self))

    def compare(self, path: str | os.PathLike[str]) -> None:
        """AssertionError with the first line that differs from the text in `path`."""
        now, golden = str(self).splitlines(), Path(path).read_text().splitlines()
        for i in range(max(len(now), len(golden))):
            was, is_ = (x[i] if i < len(x) else "nothing" for x in (golden, now))
            if was != is_:
                raise AssertionError(
                    f"ledger: line {i + 1} of {path} is '{was}', now it is '{is_}'; where that is "
                    "meant, write the ledger there again with ledger.write"
                )


def react(event: Event, action: Action, text: str) -> None:
    """What the user asked for where `event` comes."""
    if action == "raise":
        raise CaptureError(f"{event}: {text}")
    if action == "warn":
        warnings.warn(f"{event}: {text}", RecompileWarning, stacklevel=user_depth())


def _short(text: str) -> str:
    """Paths without their folders, so that the text is the same on each machine."""
    return " ".join(w.rsplit("/", 1)[-1] if "/" in w and ":" in w else w for w in text.split(" "))


def key_cause(old: CallKey, new: CallKey) -> Cause:
    """What differs between the keys of two calls: structure, leaves, settings."""
    if old.structure != new.structure or len(old.leaves) != len(new.leaves):
        return Cause("the structure of the arguments", "", str(old.structure), str(new.structure),
                     "give the same arguments in the same way")  # fmt: skip
    for i, (a, b) in enumerate(zip(old.leaves, new.leaves, strict=True)):
        if a != b:
            return _leaf_cause(i, a, b)
    for name, a, b in zip(Settings._fields, old.settings, new.settings, strict=True):
        if a != b:
            return Cause(
                name.replace("_", " "), "", repr(a), repr(b), "set it once, outside the loop"
            )
    return Cause("nothing", "", "", "", "report this")


_ADVICE = {
    "shape": "pad to one shape, or give few different ones",
    "dtype": "convert before the call",
    "requires_grad": "set requires_grad once",
    "is_leaf": "detach() before the call",
    "device": "move it before the call",
}


def _leaf_cause(index: int, old: Leaf, new: Leaf) -> Cause:
    if isinstance(old, TensorLeaf) and isinstance(new, TensorLeaf):
        for name, a, b in zip(TensorLeaf._fields, old, new, strict=True):
            if a != b:
                return Cause(f"{name} of argument {index}", "", str(a), str(b), _ADVICE[name])
    return Cause(f"argument {index}", "", _told(old), _told(new),
                 "give a number or tensor where the value changes")  # fmt: skip


def _told(leaf: Leaf) -> str:
    if isinstance(leaf, TensorLeaf):
        return "a tensor"
    if isinstance(leaf, NumberLeaf):
        return f"a number of type {leaf.kind}"
    return "an object" if isinstance(leaf, ObjectLeaf) else repr(leaf)


_WHOLE = ("elements", "entries", "members", "names of a module")
"""Reads of all that a container holds, of which another read may name the part that differs."""


def misfit(region: Region, leaves: Sequence[Any]) -> Cause:
    """Which guard of `region` a call with these leaves does not meet."""
    for (read, kind, value), line in zip(region.guards, region.guard_lines, strict=True):
        now = kind(read(leaves))
        if now != value:
            return Cause("a number that Python used", line, repr(value), repr(now),
                         "compute with it on tensors, where it stays live")  # fmt: skip
    reads = zip(region.reads, region.read_lines, strict=True)
    for (how, owner, key, what), line in sorted(reads, key=lambda r: r[0][0] in _WHOLE):
        now = _now(how, owner, key)
        if now is not what and not _equal(now, what):
            return Cause(_named(how, owner, key), line, _value(what), _value(now),
                         "give it as an argument, or leave it")  # fmt: skip
    for source, had in region.grad_guards:
        tensor = _find(source, leaves)
        if (tensor is not None and tensor.grad is not None) != had:
            return Cause(
                "the grad of a leaf",
                "",
                "there" if had else "None",
                "None" if had else "there",
                "clear grads in the same place each time",
            )
    return Cause("memory, layout or flags of tensors that it uses", "", "as captured", "another",
                 "keep the same tensors, with the same flags")  # fmt: skip


def _now(how: str, owner: Any, key: Any) -> Any:
    try:
        if how == "item":
            return owner[key]
        if how in ("elements", "names of a module"):
            return tuple(n for n in owner if how == "elements" or n != "training")
        if how == "entries":
            return tuple(x for pair in owner.items() for x in pair)
        if how == "of a class":
            return shared_of(owner, key, None)
        if how in ("builtin", "unnamed"):
            return owner.get(key, vars(builtins).get(key, NOTHING))
        return owner if how == "members" else getattr(owner, key)
    except (AttributeError, LookupError):
        return None


def _equal(a: Any, b: Any) -> bool:
    plain = (bool, int, float, str, bytes, set, frozenset, type(None), MethodType)
    if a is b or (type(a) is type(b) and isinstance(a, plain) and a == b):
        return True
    if not (isinstance(a, tuple) and isinstance(b, tuple)):
        return False
    one, other = cast("tuple[Any, ...]", a), cast("tuple[Any, ...]", b)
    return len(one) == len(other) and all(map(_equal, one, other))


def _named(how: str, owner: Any, key: Any) -> str:
    kind = type(owner).__name__
    if how == "of a class":
        return f"attribute `{key}` of the class {owner.__name__}"
    if how in ("item", "builtin", "unnamed"):
        return f"`{key}`" if isinstance(key, str) else f"item {key!r} of a {kind}"
    if how in ("attribute", "of a module"):
        return f"attribute `{key}` of a {kind}"
    return f"the {how} of a {kind}"


def _value(value: Any) -> str:
    if isinstance(value, (bool, int, float, str, bytes, type(None))):
        return repr(value)
    if isinstance(value, _C.Tensor):
        return f"a tensor of shape {value.shape}"
    if isinstance(value, (tuple, list)):
        return f"{len(cast('list[Any]', value))} elements"
    return f"a {cast('Any', type(value)).__name__}"


def _find(source: Source, leaves: Sequence[Any]) -> Any:
    kind, what = source
    if kind == "grad":
        leaf = _find(what, leaves)
        return None if leaf is None else leaf.grad
    return leaves[what] if kind == "argument" else what


def _guards_of(region: Region) -> Iterator[str]:
    for (_, kind, value), line in zip(region.guards, region.guard_lines, strict=True):
        name = getattr(kind, "__name__", "value")
        yield f"{'comparison' if name == '<lambda>' else name} is {value!r} at {line}"
    for (how, owner, key, what), line in zip(region.reads, region.read_lines, strict=True):
        if line and key != "__code__":
            yield f"{_named(how, owner, key)} is {_value(what)} at {line}"
