"""The HTTP server: OpenAI's and Anthropic's routes over any ChatGenerator. No torch."""

from openk2.server.app import create_app
from openk2.server.limits import MAX_BODY_BYTES
from openk2.server.run import run_app
from openk2.server.thoughts import MIN_KEY_BYTES

__all__ = ["MAX_BODY_BYTES", "MIN_KEY_BYTES", "create_app", "run_app"]
