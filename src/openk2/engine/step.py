"""`StepRunner`: one step's forward passes, and a sampled token for each request due one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from openk2.engine.latent_cache import LatentPages
from openk2.engine.masks import FilledMasks, MaskFiller, apply_masks
from openk2.engine.model_input import flat_input, group_by_length, padded_input
from openk2.engine.request import Request
from openk2.engine.sampler import choose, penalize, penalizes, score
from openk2.engine.scheduler import ScheduledChunk
from openk2.model import K2Model
from openk2.protocol import TokenChunk

# What a request gets from a step: its tokens with what was asked about them, or its mask's error.
RequestOutput = TokenChunk | Exception


class StepRunner:
    """Runs the model over the chunks of a step and samples; it changes no scheduler state."""

    def __init__(self, model: K2Model, memory: LatentPages) -> None:
        self._model, self._memory = model, memory
        self._masks = MaskFiller(model.config.vocab_size)

    def run(self, step: Sequence[ScheduledChunk]) -> dict[Request, RequestOutput]:
        """The output of each request whose last pending token the step computes.

        Raises what the model raises.
        """
        passes = [step] if self._model.packed else group_by_length(step)
        return {request: output for chunks in passes for request, output in self._pass(chunks)}

    def _pass(self, chunks: Sequence[ScheduledChunk]) -> list[tuple[Request, RequestOutput]]:
        requests = [chunk.request for chunk in chunks if chunk.is_last]
        filling = self._masks.begin([request.mask for request in requests])
        make_input = flat_input if self._model.packed else padded_input
        fed = make_input(chunks, self._memory)
        hidden = self._model(fed.tokens, positions=fed.positions, cache=fed.cache)
        by_chunk = hidden.flatten(0, 1).split([chunk.num_tokens for chunk in chunks])
        for chunk, rows in zip(chunks, by_chunk, strict=True):
            if chunk.request.scores_prompt:
                self._score_prompt(chunk, rows)
        if not requests:
            return []
        last = [rows[-1] for chunk, rows in zip(chunks, by_chunk, strict=True) if chunk.is_last]
        logits = self._model.lm_head(torch.stack(last))
        return list(zip(requests, self._sample(requests, logits, filling), strict=True))

    def _score_prompt(self, chunk: ScheduledChunk, hidden: Tensor) -> None:
        """Record log-probabilities of the prompt tokens that follow `hidden` [T, hidden_size]."""
        request, top = chunk.request, chunk.request.params.prompt_logprobs or 0
        start = request.num_computed_tokens
        following = request.prompt[start + 1 : start + chunk.num_tokens + 1]
        if not start:
            request.prompt_scores.append(None)
        logits = self._model.lm_head(hidden[: len(following)])
        request.prompt_scores += score(logits, following, top)

    def _sample(
        self,
        requests: Sequence[Request],
        logits: Tensor,
        filling: Callable[[], FilledMasks] | None,
    ) -> list[RequestOutput]:
        """A token for each request from its row of `logits` [N, V], or its mask's error."""
        adjusted = penalized(requests, logits)
        params = [request.params for request in requests]
        uniforms = [request.uniforms.random() for request in requests]
        if filling is None:
            tokens = choose(adjusted, params, uniforms)
            return [chunk_of(*row) for row in zip(requests, tokens, logits, strict=True)]
        filled = filling()
        for row in filled.errors:
            filled.words[row] = -1  # sampled like the others, then dropped
        tokens = choose(apply_masks(adjusted, filled), params, uniforms)
        outputs: list[RequestOutput] = []
        for row, request in enumerate(requests):
            try:
                if error := filled.errors.get(row):
                    raise error
                if request.mask is not None and not request.mask.accept(tokens[row]):
                    tokens[row] = self._resample(request, adjusted[row], uniforms[row])
            except Exception as error:
                outputs.append(error)
                continue
            outputs.append(chunk_of(request, tokens[row], logits[row]))
        return outputs

    def _resample(self, request: Request, logits: Tensor, uniform: float) -> int:
        """A token from `logits` [V] after the mask refused the first. Raises what it raises."""
        assert request.mask is not None
        filled = self._masks.refill(request.mask)
        if error := filled.errors.get(0):
            raise error
        [token] = choose(apply_masks(logits[None], filled), [request.params], [uniform])
        if not request.mask.accept(token):
            raise RuntimeError(f"the mask refuses token {token}, which it had allowed")
        return token


def penalized(requests: Sequence[Request], logits: Tensor) -> Tensor:
    """`logits` [N, V] after each request's penalties and bias; unchanged if there are none."""
    if not any(penalizes(request.params) for request in requests):
        return logits
    rows = zip(logits, requests, strict=True)
    return torch.stack([penalize(row, r.params, r.prompt, r.token_counts) for row, r in rows])


def chunk_of(request: Request, token: int, logits: Tensor) -> TokenChunk:
    """The sampled token with what was asked about it; `Request.append` finds the finish reason.

    logits: [V], the model's own.
    """
    params, first = request.params, request.num_output_tokens == 0
    tokens = (token,) if params.max_tokens else ()
    scores = None
    if params.logprobs is not None:
        scores = tuple(score(logits[None], [token], params.logprobs)[: len(tokens)])
    return TokenChunk(
        tokens,
        None if tokens else "length",
        scores,
        tuple(request.prompt_scores) if first and request.scores_prompt else None,
        (request.num_cached_tokens or 0) if first else 0,
    )
