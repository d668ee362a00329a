"""Serve a model whose engines others run: OpenAI-compatible upstreams over HTTP.

`UpstreamTokens` is a `TokenGenerator` over a pool of upstreams: they generate, and every token is
checked against the request's mask here. `UpstreamChat` passes messages through to upstreams that
have chat completions only. `RepairedChat` completes histories for either.
"""

from openk2.gateway.chat import UpstreamChat
from openk2.gateway.guidance import GuidedMasks
from openk2.gateway.host_kind import host_kinds
from openk2.gateway.pool import UpstreamPool
from openk2.gateway.repaired_chat import RepairedChat
from openk2.gateway.thought_memory import KEPT_SECONDS, MOST_BYTES, ThoughtMemory
from openk2.gateway.thought_table import StateFileError
from openk2.gateway.tokens import UpstreamTokens
from openk2.gateway.upstream import Upstream, UpstreamError

__all__ = [
    "KEPT_SECONDS",
    "MOST_BYTES",
    "GuidedMasks",
    "RepairedChat",
    "StateFileError",
    "ThoughtMemory",
    "Upstream",
    "UpstreamChat",
    "UpstreamError",
    "UpstreamPool",
    "UpstreamTokens",
    "host_kinds",
]
