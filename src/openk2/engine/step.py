"""`StepRunner`: one step's forward pass, and a sampled token for each request due one.

A failure ends as few requests as it can: what one row's logits, latents, settings or mask do ends
that row; what the model raises ends the requests of that step. Rows that failed stay in the batch
until it is sampled, so the others have the bits that they would have had.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from openk2.engine.key_waves import WaveSizes, in_groups
from openk2.engine.latent_cache import LatentPages
from openk2.engine.masks import FilledMasks, MaskError, MaskFiller, accept, apply_masks
from openk2.engine.model_input import ModelInput, flat_input, waved_input
from openk2.engine.request import Request
from openk2.engine.sampler import choose, hopeless_rows, penalize, penalizes, score
from openk2.engine.scheduler import ScheduledChunk
from openk2.model import K2Model
from openk2.protocol import TokenChunk

# What a request gets from a step: its tokens with what was asked about them, or why it failed.
RequestOutput = TokenChunk | Exception


class NotFiniteError(ArithmeticError):
    """What the model computed for a request, or what its settings made of that, is no number."""


class PassError(RuntimeError):
    """The model failed in a step's forward pass, and with it every request of that step."""


class StepRunner:
    """Runs the model over the chunks of a step and samples; it changes no scheduler state."""

    def __init__(self, model: K2Model, memory: LatentPages) -> None:
        self._model, self._memory = model, memory
        self._masks = MaskFiller(model.config.vocab_size)
        config, dtype = model.config, model.model.embed_tokens.weight.dtype
        self._sizes = WaveSizes(
            config.num_attention_heads, config.latent_dim, memory.page_size, dtype
        )

    def run(self, step: Sequence[ScheduledChunk]) -> dict[Request, RequestOutput]:
        """The output of each request whose last pending token the step computes, or its error.

        A request whose chunk is not its last is there only if it failed. MaskError, NotFiniteError
        and others: of this request; PassError: of all requests of the step.
        """
        try:
            return self._pass(step if self._model.packed else in_groups(step))
        except Exception as cause:
            error = PassError(f"a step failed: {type(cause).__name__}: {cause}")
            error.__cause__ = cause
            return {chunk.request: error for chunk in step}

    def _input(self, chunks: Sequence[ScheduledChunk]) -> ModelInput:
        if self._model.packed:
            return flat_input(chunks, self._memory)
        return waved_input(chunks, self._memory, self._sizes)

    def _pass(self, chunks: Sequence[ScheduledChunk]) -> dict[Request, RequestOutput]:
        requests = [chunk.request for chunk in chunks if chunk.is_last]
        filling = self._masks.begin([request.mask for request in requests])
        fed = self._input(chunks)
        self._model.row_errors.clear()
        hidden = self._model(fed.tokens, positions=fed.positions, cache=fed.cache).flatten(0, 1)
        by_chunk = hidden.split([chunk.num_tokens for chunk in chunks])
        failed = {**not_finite(chunks, hidden), **without_result(chunks, self._model.row_errors)}
        for chunk, rows in zip(chunks, by_chunk, strict=True):
            if chunk.request.scores_prompt and chunk.request not in failed:
                try:
                    self._score_prompt(chunk, rows)
                except Exception as error:
                    failed[chunk.request] = error
        if not requests:
            return dict(failed)
        last = [rows[-1] for chunk, rows in zip(chunks, by_chunk, strict=True) if chunk.is_last]
        logits = self._model.lm_head(torch.stack(last))
        return {**self._sample(requests, logits, filling), **failed}

    def _score_prompt(self, chunk: ScheduledChunk, hidden: Tensor) -> None:
        """Record log-probabilities of the prompt tokens that follow `hidden` [T, hidden_size]."""
        request, top = chunk.request, chunk.request.params.prompt_logprobs or 0
        start = request.num_computed_tokens
        following = request.prompt[start + 1 : start + chunk.num_tokens + 1]
        if not start:
            request.prompt_scores.append(None)
        logits = self._model.lm_head(hidden[: len(following)])
        if not bool(logits.isfinite().all()):
            raise NotFiniteError("the model's logits of the prompt hold NaN or infinity")
        request.prompt_scores += score(logits, following, top)

    def _sample(
        self,
        requests: Sequence[Request],
        logits: Tensor,
        filling: Callable[[], FilledMasks] | None,
    ) -> dict[Request, RequestOutput]:
        """A token for each request from its row of `logits` [N, V], or why it has none."""
        errors: dict[int, Exception] = {}
        adjusted = penalized(requests, logits, errors)
        masked = adjusted
        if filling is not None:
            filled = filling()
            errors |= filled.errors
            masked = apply_masks(adjusted, filled)
        for row in hopeless_rows(masked):
            errors.setdefault(row, why_hopeless(logits[row], adjusted[row]))
            masked = masked.index_fill(0, torch.tensor(row, device=masked.device), 0.0)
        params = [request.params for request in requests]
        uniforms = [request.uniforms.random() for request in requests]
        tokens = choose(masked, params, uniforms)
        outputs: dict[Request, RequestOutput] = {}
        for row, request in enumerate(requests):
            try:
                if error := errors.get(row):
                    raise error
                if request.mask is not None and not accept(request.mask, tokens[row]):
                    tokens[row] = self._resample(request, adjusted[row], uniforms[row])
                outputs[request] = chunk_of(request, tokens[row], logits[row])
            except Exception as error:
                outputs[request] = error
        return outputs

    def _resample(self, request: Request, logits: Tensor, uniform: float) -> int:
        """A token from `logits` [V] after the mask refused the first. Raises MaskError."""
        assert request.mask is not None
        filled = self._masks.refill(request.mask)
        if error := filled.errors.get(0):
            raise error
        masked = apply_masks(logits[None], filled)
        if hopeless_rows(masked):
            raise MaskError("the output's mask failed: it allows no token")
        [token] = choose(masked, [request.params], [uniform])
        if not accept(request.mask, token):
            raise MaskError(f"the output's mask failed: it refuses token {token}, which it allowed")
        return token


def not_finite(chunks: Sequence[ScheduledChunk], hidden: Tensor) -> dict[Request, Exception]:
    """The requests of which a token's row of `hidden` [N, hidden_size] is no number.

    A latent that is NaN or infinite makes its token's hidden state NaN, since a token attends to
    itself; so pages of requests that are not here hold numbers.
    """
    usable = hidden.isfinite().all(dim=-1)
    if bool(usable.all()):
        return {}
    by_chunk = usable.split([chunk.num_tokens for chunk in chunks])
    return {
        chunk.request: NotFiniteError("the model's hidden states hold NaN or infinity")
        for chunk, rows in zip(chunks, by_chunk, strict=True)
        if not bool(rows.all())
    }


def without_result(
    chunks: Sequence[ScheduledChunk], row_errors: dict[int, Exception]
) -> dict[Request, Exception]:
    """The requests with a token whose row the model could not compute, and why; the rows' errors
    are taken out."""
    failed: dict[Request, Exception] = {}
    first = 0
    for chunk in chunks if row_errors else ():
        rows = range(first, first + chunk.num_tokens)
        if error := next((row_errors[row] for row in rows if row in row_errors), None):
            failed[chunk.request] = error
        first += chunk.num_tokens
    row_errors.clear()
    return failed


def penalized(requests: Sequence[Request], logits: Tensor, errors: dict[int, Exception]) -> Tensor:
    """`logits` [N, V] after each request's penalties and bias; unchanged if there are none.

    A row whose settings fail is left as it is, and its error recorded.
    """
    if not any(penalizes(request.params) for request in requests):
        return logits
    rows: list[Tensor] = []
    for row, request in enumerate(requests):
        try:
            prompt = prompt_ids(request, logits.device)
            rows.append(penalize(logits[row], request.params, prompt, request.token_counts))
        except Exception as error:
            errors[row] = error
            rows.append(logits[row].float())
    return torch.stack(rows)


def why_hopeless(logits: Tensor, adjusted: Tensor) -> Exception:
    """Why one row cannot be sampled. logits [V]: the model's own; adjusted: with penalties."""
    if hopeless_rows(logits[None]):
        return NotFiniteError("the model's logits hold NaN or infinity")
    if hopeless_rows(adjusted[None]):
        return NotFiniteError("the request's penalties make infinity of the model's logits")
    return MaskError("the output's mask failed: it allows no token")


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


def prompt_ids(request: Request, device: torch.device) -> Tensor:
    """The prompt's ids once each, int64 [N], kept with the request: a step must not read a long
    prompt again. None of them where no penalty looks at them."""
    if request.prompt_ids is None:
        looked_at = request.prompt if request.params.repetition_penalty != 1 else ()
        request.prompt_ids = torch.tensor(sorted(set(looked_at)), dtype=torch.int64, device=device)
    return request.prompt_ids
