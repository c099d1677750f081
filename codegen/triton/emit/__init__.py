"""`kernel.func` and `kernel.batch` ops as readable Triton source."""
