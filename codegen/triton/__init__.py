"""The GPU backend: fused kernels to readable Triton source, compiled without a GPU."""
