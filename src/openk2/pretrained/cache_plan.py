"""How many cache pages fit a memory budget."""

from dataclasses import dataclass

from openk2.architecture import ModelConfig
from openk2.pretrained.error import LocalModelError

PAGE_SIZE = 64


@dataclass(frozen=True)
class CachePlan:
    """pages of page_size tokens; bytes_per_token over all layers; context_length of a request."""

    pages: int
    page_size: int
    bytes_per_token: int
    context_length: int

    @property
    def bytes(self) -> int:
        """Memory of the cache when every page is in use."""
        return self.pages * self.page_size * self.bytes_per_token


def plan_cache(
    config: ModelConfig,
    *,
    value_bytes: int,
    budget_bytes: int,
    max_batch: int,
    context_length: int | None = None,
) -> CachePlan:
    """Pages for max_batch requests of full length, or for as many tokens as the budget holds.

    value_bytes: of one cached number. context_length: None is what the model has been trained for,
    or less where the budget holds less.
    Raises LocalModelError if the model or the budget does not allow the context that is asked for.
    """
    longest = config.max_position_embeddings
    if context_length is not None and not 1 <= context_length <= longest:
        raise LocalModelError(
            f"context length {context_length} is asked for: this model allows 1 to {longest}"
        )
    bytes_per_token = config.num_hidden_layers * config.latent_dim * value_bytes
    affordable = budget_bytes // (bytes_per_token * PAGE_SIZE)
    tokens = affordable * PAGE_SIZE
    if tokens < (context_length or 1):
        raise LocalModelError(
            f"the cache budget of {budget_bytes:,} bytes holds {tokens} tokens of "
            f"{bytes_per_token:,} bytes: raise it to at least "
            f"{-(-(context_length or 1) // PAGE_SIZE) * PAGE_SIZE * bytes_per_token:,} bytes"
        )
    context = context_length or min(longest, tokens)
    pages = min(affordable, max_batch * -(-context // PAGE_SIZE))
    return CachePlan(pages, PAGE_SIZE, bytes_per_token, context)
