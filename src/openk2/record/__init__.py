"""What a run writes down: files that are whole or absent, metrics, progress."""
