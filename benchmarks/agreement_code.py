"""Code rows (to come)."""
CODE_ROWS = {}
