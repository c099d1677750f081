"""The CPU backend: fused kernels to x86-64 objects through LLVM."""
