"""Sizes that are padded up to a few: a bucket's Program serves all sizes that fit into it."""
