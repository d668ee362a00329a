"""The order of passes on a pipeline rank, and the most that is kept at once (interleaved 1F1B).

Megatron-LM's schedule (arXiv 2104.04473, section 2.2), which `torch.distributed.pipelining` runs: a
rank passes micro-batches forward in rounds, part by part; warm-up is as long as it takes the last
rank to come to its first backward pass; then forward and backward passes take turns.
"""

from collections.abc import Iterator, Sequence

from openk2.parallel import Layout


def passes(layout: Layout, rank: int, micro_batches: int) -> Iterator[tuple[int, int]]:
    """(part, +1 for a forward or -1 for a backward pass) in the order in which a rank takes them.

    part: 0 .. virtual - 1, of those that the rank holds.
    """
    size = micro_batches // max(1, micro_batches // layout.pipeline)  # of a round
    total, after = micro_batches * layout.virtual, layout.pipeline - 1 - rank
    warmup = after if layout.virtual == 1 else (layout.virtual - 1) * size + 2 * after
    warmup = min(warmup, total)

    def forward(number: int) -> tuple[int, int]:
        return number // size % layout.virtual, 1

    def backward(number: int) -> tuple[int, int]:
        return layout.virtual - 1 - number // size % layout.virtual, -1

    for number in range(warmup):
        yield forward(number)
    for number in range(warmup, total):
        yield forward(number)
        yield backward(number - warmup)
    for number in range(total - warmup, total):
        yield backward(number)


def most_in_flight(
    layout: Layout, rank: int, micro_batches: int, sizes: Sequence[int]
) -> tuple[int, ...]:
    """Forward passes of each of a rank's parts that wait for the backward, when most is kept.

    sizes: bytes that a forward pass of each part keeps. After a few rounds nothing changes any
    more, so that is where the looking ends.
    """
    waiting = [0] * layout.virtual
    most, found = -1, tuple(waiting)
    for number, (part, way) in enumerate(passes(layout, rank, micro_batches)):
        if number > 8 * layout.virtual * layout.pipeline:
            break
        waiting[part] += way
        kept = sum(count * size for count, size in zip(waiting, sizes, strict=True))
        if kept > most:
            most, found = kept, tuple(waiting)
    return found
