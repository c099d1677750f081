"""What `fuse` is made of: ops as nodes with index maps, and which of them share a kernel."""
