"""Capture a function once, compile what it did, and replay it."""

from .compiled import Compiled as Compiled
from .context import capture as capture
from .decorator import compile as compile
from .live import live_number as live_number
from .padding.buckets import Bucket as Bucket
from .pins import fuse as fuse
from .pins import nofuse as nofuse
from .profiling import profile as profile
from .recording.table import watched as watched
from .recording.watch import watch as watch
from .recording.watch import watching as watching
