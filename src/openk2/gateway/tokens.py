"""`UpstreamTokens`: engines that others run, as one `TokenGenerator`.

An upstream gets ids and continues them, over /v1/completions. It cannot see the request's
`TokenMask`, so every id it sends is checked here. After a refused id the upstream is asked to
continue from the accepted ids: with a grammar of the rest of the value, or, if it takes no grammar,
for one token with a bias against the refused ids. An id that was yielded is never withdrawn, so a
call streams while it is generated.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property

from openk2.chat import Tokenizer
from openk2.gateway.answer import Answer
from openk2.gateway.body import biases, can_guide, fields, optional_fields
from openk2.gateway.mask_walk import STRONGEST_BIAS, MaskWalk
from openk2.gateway.output import OutputReader, Piece, TokenNames
from openk2.gateway.pool import AFFINITY, UpstreamPool
from openk2.gateway.text import SpeltOutput
from openk2.gateway.upstream import Upstream, UpstreamError
from openk2.grammar import JsonSchema
from openk2.protocol import EngineBusyError, SamplingParams, TokenChunk, TokenMask

MAX_FAILURES = 2  # of upstreams, that one answer survives
MAX_REPAIRS = 64  # refused ids that one answer survives


class UpstreamTokens:
    """See `TokenGenerator`. context_length: of the upstreams' model, in tokens."""

    def __init__(self, pool: UpstreamPool, tokenizer: Tokenizer, context_length: int) -> None:
        self.pool = pool
        self.tokenizer = tokenizer
        self._context_length = context_length

    @property
    def context_length(self) -> int:
        """See `TokenGenerator`."""
        return self._context_length

    @cached_property
    def _names(self) -> TokenNames:
        return TokenNames(self.tokenizer)

    async def generate(
        self, prompt: Sequence[int], params: SamplingParams, mask: TokenMask | None = None
    ) -> AsyncGenerator[TokenChunk, None]:
        """See `TokenGenerator`. Raises RequestError for what an upstream refuses, UpstreamError."""
        self._check(prompt, params)
        answer = Answer(prompt, params, mask, MaskWalk(mask, self.tokenizer.vocab_size))
        while answer.finish is None:
            forced = self._forced(answer)
            if forced or answer.finish is not None:
                yield TokenChunk(forced, answer.finish)
                continue
            if answer.walk.went_wrong:
                answer.repairs += 1
            if answer.repairs > MAX_REPAIRS:
                message = f"the upstream's output is still invalid after {MAX_REPAIRS} corrections"
                raise UpstreamError(message)
            upstream = self.pool.pick(tuple(prompt[:AFFINITY]), answer.failed)
            try:
                async with aclosing(self._ask(upstream, answer)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except (EngineBusyError, UpstreamError):
                answer.failed[upstream] += 1
                if answer.failed.total() > MAX_FAILURES or not answer.can_resume:
                    raise

    def _check(self, prompt: Sequence[int], params: SamplingParams) -> None:
        """Raise ValueError for a request that no upstream can answer."""
        if not prompt:
            raise ValueError("the prompt is empty")
        if len(prompt) + params.max_tokens > self.context_length:
            sizes = f"{len(prompt)} tokens of prompt and {params.max_tokens} of output"
            raise ValueError(f"{sizes} exceed the context of {self.context_length}")
        if params.prompt_logprobs is not None:
            raise ValueError(
                "upstreams do not score prompts: echo with logprobs is not supported, leave one out"
            )

    def _forced(self, answer: Answer) -> tuple[int, ...]:
        """Ids that the mask forces, for which no upstream is needed."""
        if answer.left <= 0:
            answer.finish = "length"
        forced: list[int] = []
        # Scores come from the model, so with logprobs even a forced id must be requested.
        while answer.params.logprobs is None and answer.finish is None:
            if self._can_hand_over(answer.next_schema()):
                break
            stops = answer.params.stop_token_ids
            token_id = answer.walk.only(stops, self._stop_id(stops))
            if token_id is None or not answer.walk.take(token_id):
                break
            forced.append(token_id)
            answer.ids.append(token_id)
            if token_id in stops:
                answer.finish = "stop"
            elif answer.left <= 0:
                answer.finish = "length"
        return tuple(forced)

    def _can_hand_over(self, schema: JsonSchema | None) -> bool:
        return schema is not None and any(can_guide(one.owner) for one in self.pool.upstreams)

    async def _ask(self, upstream: Upstream, answer: Answer) -> AsyncGenerator[TokenChunk, None]:
        """What one request to an upstream adds to the answer, up to the first refused id."""
        params, bias, before = answer.params, answer.walk.bias(), len(answer.ids)
        guided = [
            {
                **way,
                "max_tokens": answer.left,
                "logit_bias": biases(params, self._no_markup(params)),
            }
            for way in answer.guidance(upstream)
        ]
        answer.guided = before if guided else answer.guided
        body = fields(
            upstream.model,
            [*answer.prompt, *answer.ids],
            params,
            owner=upstream.owner,
            max_tokens=1 if bias else answer.left,
            bias=bias,
        )
        names = None if params.logprobs is None else self._names
        text = SpeltOutput(self.tokenizer, answer.ids)
        reader = OutputReader(text, names, params.logprobs or 0)
        last: Piece | None = None
        chunks = upstream.stream(body, optional_fields(params), guided)
        async with aclosing(chunks):
            async for chunk in chunks:
                piece = reader.read(chunk)
                if piece.finish_reason is not None:
                    # Keep reading: usage follows, and the connection should end cleanly.
                    last = piece
                    continue
                taken, ends = self._take(upstream, answer, piece)
                if taken.token_ids or answer.finish is not None:
                    yield taken
                if ends:
                    return
        if last is None:
            raise UpstreamError("the upstream ended its output without a finish reason")
        taken, ends = self._take(upstream, answer, self._with_stop(answer, last))
        # A correction asks for one token; if none comes, the upstream's context is full.
        whole = not bias or len(answer.ids) == before
        if not ends and whole and last.finish_reason == "length":
            answer.finish = "length"
        if taken.token_ids or answer.finish is not None:
            yield replace(
                taken, finish_reason=answer.finish, cached_tokens=self._cached(answer, reader)
            )

    def _no_markup(self, params: SamplingParams) -> Mapping[int, float]:
        """A bias against special tokens, which an engine may take for the text of their names."""
        ids = set(self.tokenizer.specials.values()) - params.stop_token_ids
        return dict.fromkeys(sorted(ids), -STRONGEST_BIAS)

    def _take(self, upstream: Upstream, answer: Answer, piece: Piece) -> tuple[TokenChunk, bool]:
        """The accepted ids, and whether the request must end after them."""
        count, ends = 0, False
        for token_id in piece.token_ids:
            if answer.left <= 0:  # it was asked for no more
                answer.finish, ends = "length", True
                break
            if not 0 <= token_id < self.tokenizer.vocab_size:
                message = "is not in the vocabulary: is the --tokenizer the model's?"
                raise UpstreamError(f"the upstream's token {token_id} {message}")
            if not answer.walk.take(token_id):
                ends = True
                break
            count += 1
            answer.received = True
            answer.ids.append(token_id)
            if token_id in answer.params.stop_token_ids:
                answer.finish, ends = "stop", True
                break
            guided = answer.next_schema() is not None and can_guide(upstream.owner)
            if guided or answer.is_spelt:
                ends = True
                break
        scores = None if piece.logprobs is None else piece.logprobs[:count]
        return TokenChunk(piece.token_ids[:count], answer.finish, scores), ends

    def _with_stop(self, answer: Answer, last: Piece) -> Piece:
        """The last piece with the id that ended the output, which text does not show."""
        stops = answer.params.stop_token_ids
        if last.finish_reason != "stop" or not stops.isdisjoint(last.token_ids[-1:]):
            return last
        if last.logprobs is not None:
            raise UpstreamError("the upstream did not score the token that ended its output")
        return replace(last, token_ids=(*last.token_ids, self._stop_id(stops)))

    def _stop_id(self, stops: frozenset[int]) -> int:
        """The id that ends a turn, if it is a stop id."""
        end = self.tokenizer.special("<|im_end|>")
        return end if end in stops else min(stops, default=end)

    def _cached(self, answer: Answer, reader: OutputReader) -> int:
        """Cached tokens of the prompt; of an answer in several requests, those of the first."""
        if answer.counted:
            return 0
        answer.counted = True
        return min(reader.cached_tokens, len(answer.prompt))
