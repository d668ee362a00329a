"""How large an answer may be: what is asked for is checked first, what is kept is counted."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from openk2.generation import ChatEvent, ChatGenerator, ChatRequest, TokensScored
from openk2.server.limits import MAX_ECHOED, MAX_SCORES
from openk2.server.refusals import invalid


def check_scores(field: str, likeliest: int | None, answers: int, tokens: int) -> None:
    """Raise ApiError 400 if a whole answer to one request could have too many scores.

    They are kept until the last answer ends. A single answer may always fill the context.
    field: the one that asks for scores. likeliest: how many tokens beside each one; None: no
    scores. answers: prompts times choices. tokens: in all of them, echoed ones included.
    """
    if likeliest is None or answers < 2:
        return
    if tokens * (1 + likeliest) > MAX_SCORES:
        asked = f"asks for {1 + likeliest} scores of each of up to {tokens:,} tokens"
        raise invalid(
            field, f"{asked}: {MAX_SCORES:,} in all, lower it, n or max_tokens, or set stream"
        )


class ScoreLimit:
    """A `ChatGenerator` for the answers to one request, together at most MAX_SCORES scores.

    field: the one that asks for scores. The answer that exceeds the limit raises ApiError 400.
    """

    def __init__(self, chat: ChatGenerator, field: str) -> None:
        self._chat, self._field = chat, field
        self._scores = 0

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`."""
        async with aclosing(self._chat.stream(request)) as events:
            async for event in events:
                if isinstance(event, TokensScored):
                    self._scores += sum(1 + len(token.top) for token in event.tokens)
                if self._scores > MAX_SCORES:
                    problem = f"gave the answers more than {MAX_SCORES:,} scores"
                    raise invalid(self._field, f"{problem}: set max_tokens, lower n, or set stream")
                yield event


def check_echoed(echoed: int, likeliest: int | None) -> None:
    """Raise ApiError 400 if the prompts that a request wants back are too long, streamed or not.

    echoed: their tokens, in all answers together. likeliest: as in `check_scores`.
    """
    if echoed * (1 + (likeliest or 0)) <= MAX_ECHOED:
        return
    if likeliest is None:
        problem = f"repeats some {echoed:,} tokens: {MAX_ECHOED:,} at most, leave it out"
        raise invalid("echo", f"{problem} or send fewer prompts")
    asked = f"is {likeliest} for some {echoed:,} echoed tokens"
    raise invalid(
        "logprobs", f"{asked}: {MAX_ECHOED:,} scores at most, send fewer prompts or lower it"
    )
