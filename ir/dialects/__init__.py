"""The dialects: `ot` graphs, fused kernels, programs."""
