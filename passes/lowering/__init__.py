"""What `lower` is made of: fusions as loop nests, one module for each shape of nest."""
