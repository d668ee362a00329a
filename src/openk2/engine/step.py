"""`StepRunner`: what one step computes: the model's pass, and a token for whoever gets one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from openk2.engine.batch import group_work, make_batch, make_flat_batch
from openk2.engine.latent_cache import LatentPages
from openk2.engine.masks import Filled, MaskFiller, allow
from openk2.engine.request import Request
from openk2.engine.sampler import choose, penalize, penalizes, score
from openk2.engine.scheduler import Work
from openk2.model import K2Model
from openk2.protocol import TokenChunk

# What a request gets of a step: tokens with what was asked about them, or its own mask's error.
Outcome = TokenChunk | Exception


class StepRunner:
    """Runs the model over the works of a step and samples; the scheduler's books stay untouched."""

    def __init__(self, model: K2Model, memory: LatentPages) -> None:
        self._model, self._memory = model, memory
        self._masks = MaskFiller(model.config.vocab_size)

    def run(self, step: Sequence[Work]) -> dict[Request, Outcome]:
        """The outcome of each request that the step completes. Raises what the model raises."""
        passes = [step] if self._model.packed else group_work(step)
        return {request: outcome for works in passes for request, outcome in self._pass(works)}

    def _pass(self, works: Sequence[Work]) -> list[tuple[Request, Outcome]]:
        requests = [work.request for work in works if work.completes]
        filling = self._masks.begin([request.mask for request in requests])
        make = make_flat_batch if self._model.packed else make_batch
        batch = make(works, self._memory)
        hidden = self._model(batch.tokens, positions=batch.positions, cache=batch.cache)
        of_work = hidden.flatten(0, 1).split([work.count for work in works])
        for work, rows in zip(works, of_work, strict=True):
            if work.request.scores_prompt:
                self._score_prompt(work, rows)
        if not requests:
            return []
        last = [rows[-1] for work, rows in zip(works, of_work, strict=True) if work.completes]
        logits = self._model.lm_head(torch.stack(last))
        return list(zip(requests, self._outcomes(requests, logits, filling), strict=True))

    def _score_prompt(self, work: Work, hidden: Tensor) -> None:
        """Note how likely the model found the prompt's tokens that follow `hidden` [T, hidden]."""
        request, top = work.request, work.request.params.prompt_logprobs or 0
        following = request.prompt[request.stored + 1 : request.stored + work.count + 1]
        if not request.stored:
            request.prompt_scores.append(None)
        logits = self._model.lm_head(hidden[: len(following)])
        request.prompt_scores += score(logits, following, top)

    def _outcomes(
        self, requests: Sequence[Request], logits: Tensor, filling: Callable[[], Filled] | None
    ) -> list[Outcome]:
        """A token for each request out of its logits [N, V]; one may want none."""
        adjusted = penalized(requests, logits)
        params = [request.params for request in requests]
        draws = [request.draws.random() for request in requests]
        if filling is None:
            tokens = choose(adjusted, params, draws)
            return [chunk_of(*row) for row in zip(requests, tokens, logits, strict=True)]
        filled = filling()
        for row in filled.errors:
            filled.words[row] = -1  # it is chosen for like the others, and then left out
        tokens = choose(allow(adjusted, filled), params, draws)
        outcomes: list[Outcome] = []
        for row, request in enumerate(requests):
            try:
                if error := filled.errors.get(row):
                    raise error
                if request.mask is not None and not request.mask.accept(tokens[row]):
                    tokens[row] = self._instead(request, adjusted[row], draws[row])
            except Exception as error:
                outcomes.append(error)
                continue
            outcomes.append(chunk_of(request, tokens[row], logits[row]))
        return outcomes

    def _instead(self, request: Request, logits: Tensor, draw: float) -> int:
        """The id that a mask takes, which did not take the first. Raises what the mask raises."""
        assert request.mask is not None
        filled = self._masks.again(request.mask)
        if error := filled.errors.get(0):
            raise error
        [token] = choose(allow(logits[None], filled), [request.params], [draw])
        if not request.mask.accept(token):
            raise RuntimeError(f"the mask refuses token {token}, which it had allowed")
        return token


def penalized(requests: Sequence[Request], logits: Tensor) -> Tensor:
    """Logits [N, V] after each request's penalties and bias; the same tensor if there are none."""
    if not any(penalizes(request.params) for request in requests):
        return logits
    rows = zip(logits, requests, strict=True)
    return torch.stack([penalize(row, r.params, r.prompt, r.counts) for row, r in rows])


def chunk_of(request: Request, token: int, logits: Tensor) -> TokenChunk:
    """The token with what was asked about it; booking it finds the reason to finish.

    logits [V]: the model's own.
    """
    params, first = request.params, request.generated == 0
    tokens = (token,) if params.max_tokens else ()
    scores = None
    if params.logprobs is not None:
        scores = tuple(score(logits[None], [token], params.logprobs)[: len(tokens)])
    return TokenChunk(
        tokens,
        None if tokens else "length",
        scores,
        tuple(request.prompt_scores) if first and request.scores_prompt else None,
        (request.cached or 0) if first else 0,
    )
