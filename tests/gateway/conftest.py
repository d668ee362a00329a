"""The tokenizer and the scripted generator of tests/generation."""

from ..generation.conftest import encode_output, scripted_tokens, tokenizer

__all__ = ["encode_output", "scripted_tokens", "tokenizer"]
