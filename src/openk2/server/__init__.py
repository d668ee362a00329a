"""The HTTP server: text in, text out over any ChatGenerator; it knows no tokens and no tensors."""

from openk2.server.app import create_app
from openk2.server.run import run_app

__all__ = ["create_app", "run_app"]
