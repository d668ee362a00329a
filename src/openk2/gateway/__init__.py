"""Serve a model whose engines others run: OpenAI-compatible upstreams over HTTP.

`UpstreamTokens` is a `TokenGenerator` over a pool of upstreams: they generate, and every token is
checked against the request's mask here. `UpstreamChat` passes messages through to upstreams that
have chat completions only.
"""

from openk2.gateway.chat import UpstreamChat
from openk2.gateway.guidance import GuidedMasks
from openk2.gateway.pool import UpstreamPool
from openk2.gateway.tokens import UpstreamTokens
from openk2.gateway.upstream import Upstream, UpstreamError

__all__ = [
    "GuidedMasks",
    "Upstream",
    "UpstreamChat",
    "UpstreamError",
    "UpstreamPool",
    "UpstreamTokens",
]
