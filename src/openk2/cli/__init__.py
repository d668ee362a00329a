"""The `openk2` command: one file per command, wiring only."""
