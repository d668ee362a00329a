"""A synthetic routing trace and the hit rates of caches on it."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from openk2.checkpoint import expert_shares
from openk2.streaming import AgedFrequency

Step = list[int]  # keys that one layer asks for


def routing_trace(layers: int, experts: int, chosen: int, tokens: int, seed: int) -> list[Step]:
    """Layer by layer, token by token: choices follow `expert_shares`, whose order is each layer's
    own and drifts: every 8 tokens two experts of a layer exchange their places."""
    random = np.random.default_rng(seed)
    shares = expert_shares(experts, chosen).numpy()
    orders = [random.permutation(experts) for _ in range(layers)]
    steps = []
    for token in range(tokens):
        for layer, order in enumerate(orders):
            if token % 8 == 7:
                one, other = random.integers(experts, size=2)
                order[[one, other]] = order[[other, one]]
            # Without replacement: the largest of log share plus Gumbel noise.
            noise = np.log(shares) + random.gumbel(size=experts)
            ranks = np.argpartition(-noise, chosen)[:chosen]
            steps.append([int(layer * experts + order[rank]) for rank in ranks])
    return steps


def hits_aged(trace: Sequence[Step], slots: int, keys: int, layers: int) -> float:
    """The hit rate of `AgedFrequency`, used as the store uses it."""
    policy, held, hits = AgedFrequency(keys), set[int](), 0
    for number, step in enumerate(trace):
        if number % layers == 0:
            policy.advance(1)
        for key in step:
            policy.use(key, 1)
        hits += len(held.intersection(step))
        for key in set(step) - held:
            if len(held) >= slots:
                victim = policy.least(held.difference(step))
                assert victim is not None
                held.remove(victim)
            held.add(key)
    return hits / sum(map(len, trace))


def hits_lru(trace: Sequence[Step], slots: int) -> float:
    """The hit rate when the least recently used goes first."""
    held, hits = OrderedDict[int, None](), 0
    for step in trace:
        for key in step:
            hits += key in held
            held.pop(key, None)
            held[key] = None
        while len(held) > slots:
            held.popitem(last=False)
    return hits / sum(map(len, trace))


def hits_optimal(trace: Sequence[Step], slots: int) -> float:
    """The highest hit rate there is: the one used furthest in the future goes first (Belady)."""
    following: dict[int, int] = {}
    uses: list[list[int]] = []
    for number in range(len(trace) - 1, -1, -1):
        uses.append([following.get(key, len(trace)) for key in trace[number]])
        following |= dict.fromkeys(trace[number], number)
    held: dict[int, int] = {}
    hits = 0
    for step, next_uses in zip(trace, reversed(uses), strict=True):
        hits += sum(key in held for key in step)
        held |= dict(zip(step, next_uses, strict=True))
        while len(held) > slots:
            del held[max(held, key=lambda key: held[key])]
    return hits / sum(map(len, trace))
