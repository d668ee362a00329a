"""`PromptCoder`: prompts as token ids, for clients that count or cut them themselves."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from openk2.chat import (
    CHAT_TEMPLATE,
    Tokenizer,
    canonical_history,
    encode_chat,
    tokenizer_config,
)
from openk2.generation.encoding import EncodingThreads, refuse_too_long, text_size
from openk2.generation.request_error import RequestError

T = TypeVar("T")


class PromptCoder:
    """What the model would be given, and back to text.

    context_length: prompt plus output tokens that one request may hold.
    """

    def __init__(self, tokenizer: Tokenizer, context_length: int) -> None:
        self.tokenizer = tokenizer
        self.context_length = context_length
        self._threads = EncodingThreads()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """The result of a function that encodes or decodes, off the event loop."""
        return await self._threads.run(function, *arguments)

    def encode_text(self, prompt: str) -> list[int]:
        """Ids of a raw prompt, in which the names of specials mean the specials.

        Raises ContextLengthError for a text that cannot fit whatever it says.
        """
        refuse_too_long(len(prompt), self.tokenizer, self.context_length, "prompt")
        return self.tokenizer.encode_markup(prompt)

    def encode_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        generation_prompt: bool = True,
    ) -> list[int]:
        """Ids of a conversation as `RenderedChat` renders it.

        generation_prompt: end with the assistant's header. Raises openk2.chat.RenderError,
        and ContextLengthError as `encode_text`.
        """
        refuse_too_long(text_size(messages), self.tokenizer, self.context_length)
        history = canonical_history(messages)
        encoded = encode_chat(
            self.tokenizer, history.messages, tools, generation_prompt=generation_prompt
        )
        return encoded.token_ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, specials by name. Raises RequestError for an id that does not exist."""
        try:
            return self.tokenizer.decode(ids)
        except ValueError as error:
            raise RequestError(str(error), "tokens") from error

    def decode_each(self, ids: Sequence[int]) -> list[str]:
        """The text of each id alone. Raises as `decode`."""
        return [self.decode([token_id]) for token_id in ids]

    def info(self) -> dict[str, Any]:
        """What a checkpoint's tokenizer_config.json says, and its chat template."""
        return {**tokenizer_config(self.context_length), "chat_template": CHAT_TEMPLATE}
