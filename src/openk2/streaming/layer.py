"""`StreamedExperts`: one layer's routed experts, computed as they arrive from the store."""

import torch
from torch import Tensor

from openk2.checkpoint import CheckpointError
from openk2.kernels import ABSENT
from openk2.streaming.store import ExpertStore


class StreamedExperts:
    """A `StreamedLayer` over a store. row_errors: where a layer leaves why a row has no result, by
    the row's number; the model's own (`K2Model.row_errors`)."""

    def __init__(self, store: ExpertStore, layer: int, row_errors: dict[int, Exception]) -> None:
        self._store, self._layer, self._row_errors = store, layer, row_errors

    def request(self, chosen: Tensor) -> None:
        """See `StreamedLayer`."""
        self._store.request(self._layer, counts_of(chosen), len(chosen))

    def expect(self, chosen: Tensor) -> None:
        """See `StreamedLayer`."""
        counts = counts_of(chosen)
        self._store.expect(self._layer, sorted(counts, key=lambda each: -counts[each]))

    def __call__(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """See `StreamedLayer`. Terms are added in the order of the experts' numbers, so that where
        the sum is cut changes no bit. A row whose expert cannot be read gets zeros and an error."""
        slots, out, total = self._store.slots, torch.empty_like(x), None
        for ready, errors, last in self._store.ready(self._layer):
            table = torch.full((slots.experts,), ABSENT)
            table[list(ready)] = torch.tensor(list(ready.values()), dtype=torch.int64)
            if last and not errors:
                return slots.add(x, weights, chosen, table, out, total)
            if total is None:
                total = torch.zeros(x.shape, dtype=torch.float32)
            total = slots.add(x, weights, chosen, table, total, total)
            for expert, error in errors.items():
                self._fail(chosen, expert, error)
        if total is not None:
            total[[row for row in self._row_errors if row < len(x)]] = 0
        none = torch.full((slots.experts,), ABSENT)
        return slots.add(x, weights, chosen, none, out, total)

    def _fail(self, chosen: Tensor, expert: int, error: CheckpointError) -> None:
        for row in (chosen == expert).any(-1).nonzero().flatten().tolist():
            self._row_errors.setdefault(row, error)


def counts_of(chosen: Tensor) -> dict[int, int]:
    """How many rows of chosen int64 [N, K] chose each expert, by number, ascending."""
    experts, counts = chosen.unique(return_counts=True)
    return dict(zip(experts.tolist(), counts.tolist(), strict=True))
