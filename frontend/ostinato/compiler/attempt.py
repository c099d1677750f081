"""The capture of one call, so that later ones can be replayed without Python."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, cast

from ..device import device
from ..ir.dtypes import DType
from ..ir.errors import CaptureError
from ..runtime import _C
from . import build, passed
from .call_key import is_number, kept_objects
from .check import Check
from .containers import containers_in, grows_when_read
from .effects import Restart, watched
from .finish import finish
from .follow import Followed, overlap_text, refusal, run_region
from .frames import unwatched, user_line
from .live import LiveNumber, Session, opened
from .lookup import is_module
from .recording.channels import Channels
from .region import Region
from .variant import Variant, flattened, mapped, optree


@dataclass(frozen=True)
class Policy:
    """What to do where a replay would not do all that the function does: go on without replays
    (`follows`), and whether a break, too, is nothing but a reason to."""

    follows: bool = True
    breaks: bool = True
    dry: bool = False
    """An error leaves nothing of what the function did before it."""


@dataclass(frozen=True)
class Unrepeatable:
    """A call that was captured and run, but that no replay can repeat; and what it returned."""

    why: str
    result: Any


class Attempt:
    """The capture of a call of `fn` with arguments of these leaves.

    Restart where it is given up before anything was done outside of the function; CaptureError
    where the policy does not allow that.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str, leaves: list[Any], structure: Any,
        policy: Policy, check: Check | None = None,
        make: Callable[[Region], build.Built] | None = None, channels: Channels | None = None,
        arguments: tuple[Any, Any] | None = None,
    ) -> None:  # fmt: skip
        """`make` compiles a region, `channels` get what is watched. `arguments` are those of the
        call itself, where it runs on if no replay could repeat it."""
        self._arguments = arguments
        self._make = make or functools.partial(build.build, name=name)
        self._fn, self._name, self._leaves, self._policy = fn, name, leaves, policy
        self._structure, self._check = structure, check
        self._tracer = _C.Tracer()
        self._session = Session(self._tracer, self._leave, self._give_up, channels=channels)
        self._watch: Any = None
        self._refused = False  # before anything else was seen that a replay could not do
        self._broke = ""  # why a region would have had to end

    def run(self) -> Variant | Unrepeatable:
        """A variant that replays the call, or what it returned where there can be none."""
        started = time.perf_counter()
        found = self.capture()
        took = time.perf_counter() - started
        if isinstance(found, Unrepeatable):
            return found
        variant = self._variant(*found)
        passed.add_seconds(variant.built.seconds, {"capture": took})
        return variant

    def forget(self) -> None:
        """Lets go of arguments and of what the function read, which nothing but a variant keeps."""
        if self._watch is not None:
            self._watch.reads = self._session.reads = None
        self._session.leave = self._session.give_up = self._watch = None
        self._leaves = []
        self._arguments = None

    def capture(self) -> tuple[Region, Any] | Unrepeatable:
        """The same before anything is compiled: the region, and the structure of the result."""
        given = [_stand_in(self._session, i, leaf) for i, leaf in enumerate(self._leaves)]
        args, kwargs = optree().tree_unflatten(self._structure, given)
        if self._arguments is not None:
            own, named = self._arguments
            args = tuple(map(_kept, args, own))
            kwargs = {name: _kept(kwargs[name], named[name]) for name in kwargs}
        with opened(self._session):
            try:
                return self._captured(args, kwargs)
            except CaptureError as error:
                if self._policy.follows and self._is_untouched() and not self._broke:
                    raise Restart(str(error)) from error
                raise
            finally:
                self._tracer.stop()

    def _captured(self, args: Any, kwargs: Any) -> tuple[Region, Any] | Unrepeatable:
        self._tracer.start()
        for leaf in self._leaves:
            if isinstance(leaf, _C.Tensor):
                self._tracer.add_input(leaf)
            elif hasattr(cast("Any", type(leaf)), "__next__"):
                raise CaptureError(
                    f"capture: {self._name} is given an iterator, which a call uses up; give a list"
                )
        containers = list(containers_in((args, kwargs)))
        if any(map(grows_when_read, containers)):
            raise CaptureError(
                f"capture: {self._name} is given a defaultdict, which changes as it is looked "
                "into; give a dict"
            )
        held = {id(c) for c in containers}
        with watched(self._fn, self._leaves, self._policy.follows, containers) as self._watch:
            self._session.reads = self._watch.reads
            result = self._called(args, kwargs)
        self._watch.expect_going()
        if self._broke:
            raise CaptureError(self._broke)
        flat, shape = flattened(result)
        self._check_results(flat)
        self._check_containers(result, held | self._watch.reads.containers)
        if self._is_untouched():
            self._watch.reads.look_around()
        if self._watch.problem is not None:
            return self._seen(result)
        names = names_of(self._fn, args, kwargs)
        return finish(self._tracer, self._session, self._leaves, flat, names), shape

    def _called(self, args: Any, kwargs: Any) -> Any:
        """What the function returns, or how it fails."""
        try:
            return self._fn(*args, **kwargs)
        except Restart as restart:
            given_up = str(restart)
        except BaseException as error:
            self._watch.expect_going()
            if not self._policy.dry:
                self._settle(error)
            if self._broke and not isinstance(error, CaptureError):
                raise CaptureError(self._broke) from error  # whatever came of the refusal
            raise
        # Generators that go away with it are stopped by the hook: what they do at their end, the
        # next start of the call does.
        self._session.reads = None
        self._watch.forget_reads()
        raise Restart(given_up)

    def _variant(self, region: Region, shape: Any) -> Variant:
        variant = Variant(self._make(region), shape, kept_objects(self._leaves), self._check)
        if not variant.replays.are_apart(self._leaves):
            raise CaptureError(overlap_text(self._name))
        return variant

    def _seen(self, result: Any) -> Unrepeatable:
        problem: str = self._watch.problem
        if not self._policy.follows:
            raise CaptureError(problem)
        result = mapped(_plain, result)
        self._end_region(problem)
        return Unrepeatable(problem, result)

    def _settle(self, error: BaseException) -> None:
        """An error of the function leaves what it did before."""
        if isinstance(error, CaptureError):
            problem = self._watch.problem
            if problem is not None and not self._policy.follows and not self._refused:
                raise CaptureError(problem) from error
            return
        self._end_region(str(error))

    def _is_untouched(self) -> bool:
        return self._watch is None or self._watch.problem is None

    def _give_up(self, why: str) -> None:
        """A replay could not know what is needed here."""
        if not self._policy.follows:
            self._refused = self._is_untouched()
            raise CaptureError(why)
        if self._is_untouched():
            self._watch.give_up(why)
        self._go_on()

    def _leave(self, why: str) -> bool:
        """A value is needed in the middle, or an op cannot be captured."""
        if not self._policy.breaks:
            self._broke = refusal(why, user_line())
            return False
        self._give_up(f"{why} at {user_line()}")
        return True

    def _go_on(self) -> None:
        """Something was done outside already: this call runs on, region by region."""
        self._end_region(self._watch.problem)
        self._tracer = _C.Tracer(following=True)
        self._session.follow(self._tracer)
        self._tracer.start()

    def _end_region(self, why: str) -> None:
        """What was recorded so far runs."""
        self._session.feeds.hand_over()
        with unwatched():
            run_region(self._tracer, self._session, Followed(self._name, why, check=self._check))

    def _check_results(self, flat: Sequence[Any]) -> None:
        """Objects that are not what they were given as might be made anew by each call."""
        known = {id(leaf) for leaf in self._leaves}
        strange = [x for x in flat if not isinstance(x, _CONSTANT) and id(x) not in known]
        if strange and self._is_untouched():
            raise CaptureError(
                f"capture: {self._name} returns a {type(strange[0]).__name__}, which a replay "
                "would not make again; return tensors, numbers and containers of them"
            )

    def _check_containers(self, result: Any, held: set[int]) -> None:
        """A container that was there before the call is no other one with the same in it."""
        old = next((c for c in containers_in(result) if id(c) in held), None)
        if old is not None and self._is_untouched():
            raise CaptureError(
                f"capture: {self._name} returns a {type(old).__name__} that was there before the "
                "call, of which a replay would make another; return what lies in it"
            )


_CONSTANT = (
    _C.Tensor, LiveNumber, DType, device, bool, int, float, complex, str, bytes, type(None), type,
    FunctionType, BuiltinFunctionType, ModuleType, slice, range,
)  # fmt: skip


def _plain(leaf: Any) -> Any:
    return leaf.value if isinstance(leaf, LiveNumber) else leaf


def _kept(built: Any, given: Any) -> Any:
    """An argument as it was given where no number stands in it: its identity counts."""
    leaves = zip(flattened(built)[0], flattened(given)[0], strict=True)
    return given if all(a is b for a, b in leaves) else built


def _stand_in(session: Session, index: int, leaf: Any) -> Any:
    if is_number(leaf):
        return LiveNumber(session, leaf, _C.Path.argument(index))
    return leaf


def names_of(fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> dict[int, str]:
    """Names of tensors for dumps: arguments, and parameters of modules in the closure."""
    found: dict[int, str] = {}
    spaces = dict(inspect.getclosurevars(fn).nonlocals) if inspect.isfunction(fn) else {}
    owner = getattr(fn, "__self__", None)
    if owner is not None:
        spaces["self"] = owner
    for name, value in spaces.items():
        if is_module(value):
            found |= {id(p): f"{name}.{path}" for path, p in value.named_parameters()}
    try:
        bound = inspect.signature(fn).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        bound = {}
    found |= {id(v): k for k, v in bound.items() if isinstance(v, _C.Tensor)}
    return found
