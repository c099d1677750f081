"""Why some planted errors are found by no check: the changed code does the same."""

REASONS: dict[str, str] = {}
