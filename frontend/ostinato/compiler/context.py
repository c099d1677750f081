"""`with capture()`: a region without a function."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ..runtime import _C
from . import build as _build
from . import passed
from .finish import finish
from .follow import install
from .live import Session, opened
from .region import Region
from .variant import Variant


class Capture:
    """A region without a function; see `capture`."""

    region: Region | None = None

    def ir(self, stage: str = "captured") -> str:
        """The region after `stage`, as text."""
        assert self.region is not None, "the region is not finished"
        return passed.stages(self.region)[stage]


@contextmanager
def capture() -> Generator[Capture]:
    """Capture what is done inside; at the end it is compiled and run, and every tensor that the
    region wrote or made and that is still held has its value."""
    install()
    tracer = _C.Tracer()
    session = Session(tracer)
    made = Capture()
    with opened(session):
        tracer.start()
        try:
            yield made
            held, given, _ = tracer.cut()
            made.region = finish(tracer, session, given, held, {})
        finally:
            tracer.stop()
    variant = Variant(_build.build(made.region, "capture"), None)
    tracer.deliver(held, variant.run(given))
