"""Regions whose arguments are padded to a larger size: what padding must not reach, and masks."""
