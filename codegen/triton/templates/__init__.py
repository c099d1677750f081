"""Hand-written Triton kernels for ops that are launched instead of called."""
