"""Capture a function once, compile what it did, and replay it."""

from .decorator import Compiled as Compiled
from .decorator import capture as capture
from .decorator import compile as compile
from .live import live_number as live_number
