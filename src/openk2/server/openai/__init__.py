"""OpenAI's routes: chat completions, completions and the tokenizer."""
