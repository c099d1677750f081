"""CUDA devices: what there are, their streams, events and memory."""

from __future__ import annotations

from . import nvtx as nvtx
from .devices import DeviceProperties as DeviceProperties
from .devices import can_device_access_peer as can_device_access_peer
from .devices import current_device as current_device
from .devices import device as device
from .devices import device_count as device_count
from .devices import get_device_capability as get_device_capability
from .devices import get_device_name as get_device_name
from .devices import get_device_properties as get_device_properties
from .devices import is_available as is_available
from .devices import set_device as set_device
from .devices import synchronize as synchronize
from .memory import MemPool as MemPool
from .memory import OutOfMemoryError as OutOfMemoryError
from .memory import empty_cache as empty_cache
from .memory import host_memory_stats as host_memory_stats
from .memory import max_memory_allocated as max_memory_allocated
from .memory import max_memory_reserved as max_memory_reserved
from .memory import mem_get_info as mem_get_info
from .memory import memory_allocated as memory_allocated
from .memory import memory_reserved as memory_reserved
from .memory import memory_snapshot as memory_snapshot
from .memory import memory_stats as memory_stats
from .memory import record_memory_history as record_memory_history
from .memory import reset_peak_memory_stats as reset_peak_memory_stats
from .memory import set_per_process_memory_fraction as set_per_process_memory_fraction
from .memory import use_mem_pool as use_mem_pool
from .streams import Event as Event
from .streams import ExternalStream as ExternalStream
from .streams import Stream as Stream
from .streams import current_stream as current_stream
from .streams import default_stream as default_stream
from .streams import set_stream as set_stream
from .streams import stream as stream
