"""Sizes that vary from call to call: one set of Programs for all of them."""
