"""From fused kernels to machine code: backends, and the cache of what they built."""
