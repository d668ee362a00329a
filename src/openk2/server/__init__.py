"""The HTTP server over any ChatGenerator and CompletionGenerator; it knows no tensors."""

from openk2.server.app import create_app
from openk2.server.run import run_app

__all__ = ["create_app", "run_app"]
