"""The check of compiled functions against eager ops, and who is to blame where they differ."""

from .policy import Check as Check
from .policy import Mismatch as Mismatch
from .policy import When as When
