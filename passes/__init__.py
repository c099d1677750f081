"""IR to IR: one file a pass, and `pipeline.py` with their order."""
