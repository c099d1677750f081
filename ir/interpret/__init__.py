"""The reference interpreter: what modules, kernels and Programs mean, on NumPy arrays."""
