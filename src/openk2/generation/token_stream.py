"""`token_chunks`: a token generator's output, checked, its ValueErrors as RequestErrors."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from openk2.generation.request_error import RequestError
from openk2.protocol import SamplingParams, TokenChunk, TokenGenerator, TokenMask


async def token_chunks(
    generator: TokenGenerator,
    prompt: Sequence[int],
    params: SamplingParams,
    mask: TokenMask | None = None,
) -> AsyncGenerator[TokenChunk, None]:
    """The chunks up to the one with a finish reason. Closing it cancels the request.

    Raises RequestError for what the generator refuses before its first chunk, RuntimeError if it
    breaks its protocol, and whatever else it raises.
    """
    began = False
    try:
        async with aclosing(generator.generate(prompt, params, mask)) as chunks:
            async for chunk in chunks:
                check_scores(chunk, params, first=not began)
                began = True
                yield chunk
                if chunk.finish_reason is not None:
                    return
    except ValueError as error:
        if began:
            raise
        raise RequestError(str(error)) from error
    raise RuntimeError("the token generator ended its output without a finish reason")


def check_scores(chunk: TokenChunk, params: SamplingParams, *, first: bool) -> None:
    """Raise RuntimeError unless there is one score per token, if scores were requested."""
    if params.logprobs is not None and len(chunk.logprobs or ()) != len(chunk.token_ids):
        raise RuntimeError(f"{len(chunk.token_ids)} tokens came with logprobs {chunk.logprobs}")
    if first and params.prompt_logprobs is not None and chunk.prompt_logprobs is None:
        raise RuntimeError("the token generator gave no prompt_logprobs")


def single_tokens(chunk: TokenChunk) -> Iterator[TokenChunk]:
    """The chunk as chunks of one token, so that an output can end after any of them."""
    if len(chunk.token_ids) < 2:
        yield chunk
        return
    last = len(chunk.token_ids) - 1
    for place, token_id in enumerate(chunk.token_ids):
        yield TokenChunk(
            (token_id,),
            chunk.finish_reason if place == last else None,
            None if chunk.logprobs is None else chunk.logprobs[place : place + 1],
            chunk.prompt_logprobs if place == 0 else None,
            chunk.cached_tokens if place == 0 else 0,
        )
