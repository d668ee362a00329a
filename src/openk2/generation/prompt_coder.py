"""`PromptCoder`: prompts as token ids, for clients that count or truncate them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from openk2.chat import Tokenizer, tokenizer_config
from openk2.generation.chat_format import ChatFormat, K2Format
from openk2.generation.encoding import encoding_threads, refuse_too_long
from openk2.generation.request_error import RequestError
from openk2.generation.thinking import ThinkingFields

T = TypeVar("T")


class PromptCoder:
    """Encodes what the model would be given, and decodes ids to text.

    context_length: prompt plus output tokens that one request may hold. chat_format: the model's;
    K2's if none is given.
    """

    def __init__(
        self, tokenizer: Tokenizer, context_length: int, chat_format: ChatFormat | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.format = chat_format or K2Format(tokenizer)
        self._threads = encoding_threads()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """The result of a function that encodes or decodes, off the event loop."""
        return await self._threads.run(function, *arguments)

    def encode_text(self, prompt: str) -> list[int]:
        """Ids of a raw prompt, in which the name of a special token stands for that token.

        Raises ContextLengthError for a text that is too long whatever it says.
        """
        refuse_too_long(len(prompt), self.tokenizer, self.context_length, "prompt")
        return self.tokenizer.encode_markup(prompt)

    def encode_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        generation_prompt: bool = True,
        thinking: ThinkingFields | None = None,
    ) -> list[int]:
        """Ids of a conversation as `RenderedChat` renders it.

        generation_prompt: end where the assistant goes on. Raises openk2.chat.RenderError,
        RequestError for `thinking`, and ContextLengthError as `encode_text`.
        """
        plan = self.format.plan(thinking or ThinkingFields())
        ids, _ = self.format.encode(
            messages,
            tools,
            generation_prompt=generation_prompt,
            thinking=plan.thinking,
            context_length=self.context_length,
        )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, special tokens by name. Raises RequestError for an unknown id."""
        try:
            return self.tokenizer.decode(ids)
        except ValueError as error:
            raise RequestError(str(error), "tokens") from error

    def decode_each(self, ids: Sequence[int]) -> list[str]:
        """The text of each id alone. Raises as `decode`."""
        return [self.decode([token_id]) for token_id in ids]

    def info(self) -> dict[str, Any]:
        """The content of a checkpoint's tokenizer_config.json, and its chat template."""
        return {**tokenizer_config(self.context_length), "chat_template": self.format.template}
