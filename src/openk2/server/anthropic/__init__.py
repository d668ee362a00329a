"""Anthropic's routes: Messages and the counting of their tokens."""
