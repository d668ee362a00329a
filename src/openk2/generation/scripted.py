"""`ScriptedChat`: a `ChatGenerator` with answers given in advance, for tests."""

from collections import deque
from collections.abc import AsyncGenerator, Iterable

from openk2.chat import CallArguments, CallEnd, CallStart, ContentDelta
from openk2.generation.answer import ChatAnswer
from openk2.generation.chat import ChatEvent, ChatFinish, ChatRequest
from openk2.generation.scores import TokensScored


class ScriptedChat:
    """Gives the answers in order, one a request; a string is an answer of text alone.

    requests: those received, in order.
    """

    def __init__(self, answers: Iterable[str | ChatAnswer]) -> None:
        self.answers = deque(answers)
        self.requests: list[ChatRequest] = []

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`. Raises RuntimeError when the answers are used up."""
        self.requests.append(request)
        if not self.answers:
            raise RuntimeError(f"request {len(self.requests)} has no answer left in the script")
        answer = self.answers.popleft()
        if isinstance(answer, str):
            answer = ChatAnswer(answer)
        if answer.scores:
            yield TokensScored(answer.scores)
        if answer.content:
            yield ContentDelta(answer.content)
        for index, call in enumerate(answer.tool_calls):
            yield CallStart(index, call.id, call.name)
            yield CallArguments(index, call.arguments)
            yield CallEnd(index)
        yield ChatFinish(
            answer.finish_reason,
            answer.prompt_tokens,
            answer.completion_tokens,
            answer.cached_tokens,
            answer.stop_string,
        )
