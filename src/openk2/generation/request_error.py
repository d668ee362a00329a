"""`RequestError`: a request that cannot be answered as it is; its sender has to change it."""


class RequestError(ValueError):
    """One line: the thing, the value and the remedy. param: the request's field, if it is one."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class ContextLengthError(RequestError):
    """Prompt and answer together are longer than the model's context. All sizes in tokens.

    param: the field that holds the prompt, "messages" or "prompt". at_least: the prompt was not
    encoded, and has no fewer than `prompt_tokens`.
    """

    def __init__(
        self,
        prompt_tokens: int,
        max_tokens: int | None,
        context_length: int,
        param: str = "messages",
        *,
        at_least: bool = False,
    ) -> None:
        what = "messages and tools" if param == "messages" else param
        asked = f"{'at least ' if at_least else ''}{prompt_tokens} tokens of {what}"
        if max_tokens is not None:
            asked += f" and {max_tokens} tokens of answer"
        super().__init__(
            f"the context holds {context_length} tokens, but the request is {asked}: "
            f"shorten the {param}" + ("" if max_tokens is None else " or lower max_tokens"),
            param,
        )
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.context_length = context_length
