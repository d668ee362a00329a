"""The prefix cache by itself: what matches, what may be evicted, and in which order."""

from random import Random

import pytest

from openk2.engine.prefix_cache import PrefixCache, PrefixNode


def filled(cache: PrefixCache, tokens: list[int], first_page: int = 0) -> list[PrefixNode]:
    """A chain of computed nodes, held once."""
    chain: list[PrefixNode] = []
    for index in range(len(tokens) // cache.page_size):
        page_tokens = cache.page_tokens(tokens, index)
        node = cache.insert(chain, page_tokens, first_page + index)
        assert node is not None
        node.computed = True
        chain.append(node)
    return chain


def test_a_prefix_matches_as_many_whole_pages_as_are_equal_and_no_more_than_wanted() -> None:
    cache = PrefixCache(2)
    chain = filled(cache, [1, 2, 3, 4, 5, 6])
    assert cache.match([1, 2, 3, 4, 5, 6, 7], 3) == (chain, False)
    assert cache.match([1, 2, 3, 4, 5, 6, 7], 2) == (chain[:2], False)
    assert cache.match([1, 2, 3, 9, 5, 6], 3) == (chain[:1], False)
    assert cache.match([9, 2, 3, 4], 2) == ([], False)
    assert cache.match([1, 2], 0) == ([], False)


def test_a_page_that_is_being_computed_is_announced_and_not_matched() -> None:
    cache = PrefixCache(2)
    chain = filled(cache, [1, 2])
    coming = cache.insert(chain, (3, 4), 7)
    assert coming is not None
    assert cache.match([1, 2, 3, 4, 5], 2) == (chain, True)
    assert cache.match([1, 2, 3, 4, 5], 1) == (chain, False)
    assert cache.match([1, 2, 9, 9, 5], 2) == (chain, False)
    assert cache.find(chain, (3, 4)) is None
    coming.computed = True
    assert cache.find(chain, (3, 4)) is coming
    assert cache.find([], (3, 4)) is None


def test_equal_tokens_after_one_chain_are_one_node_and_after_another_a_second() -> None:
    cache = PrefixCache(2)
    first, second = filled(cache, [1, 2, 5, 6]), filled(cache, [3, 4], 10)
    assert cache.insert(first[:1], (5, 6), 20) is None
    other = cache.insert(second, (5, 6), 21)
    assert other is not None
    assert other is not first[1]


def test_a_chain_is_idle_when_its_last_holder_leaves_and_in_use_when_one_comes_back() -> None:
    cache = PrefixCache(2)
    chain = filled(cache, [1, 2, 3, 4])
    for node in chain:
        cache.acquire(node)
    assert cache.release(chain) == []
    assert cache.num_idle == 0
    assert cache.evict(5) == []
    assert cache.release(chain) == []
    assert cache.num_idle == 2
    cache.acquire(chain[0])
    assert (cache.num_idle, chain[0].ref_count) == (1, 1)
    # A leaf goes; what somebody holds does not.
    assert cache.evict(5) == [1]
    assert (cache.num_idle, cache.evict(5)) == (0, [])


def test_leaves_are_evicted_before_what_they_follow_and_the_longest_unused_first() -> None:
    cache = PrefixCache(1)
    old, new = filled(cache, [1, 2, 3]), filled(cache, [5, 6], 10)
    cache.release(old)
    cache.release(new)
    assert cache.evict(1) == [2]
    assert cache.match([1, 2, 3], 3) == (old[:2], False)
    # Used again, so the other one is now the longest unused.
    for node in old[:2]:
        cache.acquire(node)
    cache.release(old[:2])
    assert cache.evict(3) == [11, 10, 1]
    assert cache.num_idle == 1
    assert cache.evict(3) == [0]
    assert cache.evict(3) == []


def test_what_was_never_computed_is_given_back_with_its_place_in_the_tree() -> None:
    cache = PrefixCache(1)
    chain = filled(cache, [1])
    for token, page in ((2, 8), (3, 9)):
        node = cache.insert(chain, (token,), page)
        assert node is not None
        chain.append(node)
    assert cache.release(chain) == [9, 8]
    assert cache.num_idle == 1
    assert cache.match([1, 2, 3], 3) == (chain[:1], False)
    assert cache.evict(9) == [0]


def test_a_page_that_others_wait_for_stays_while_one_of_them_holds_it() -> None:
    cache = PrefixCache(1)
    node = cache.insert([], (1,), 4)
    assert node is not None
    cache.acquire(node)
    assert cache.release([node]) == []
    assert cache.num_idle == 0
    assert cache.release([node]) == [4]
    assert cache.insert([], (1,), 5) is not None


def test_a_prefix_in_daily_use_costs_no_memory_by_being_used() -> None:
    cache = PrefixCache(1)
    chain = filled(cache, [1, 2, 3])
    cache.release(chain)
    for _ in range(1_000):
        for node in chain:
            cache.acquire(node)
        cache.release(chain)
    assert len(cache._evictable) <= len(chain)
    assert cache.evict(9) == [2, 1, 0]


@pytest.mark.parametrize("seed", range(5))
def test_the_longest_unused_leaf_goes_first_whatever_was_used_between(seed: int) -> None:
    rng, cache = Random(seed), PrefixCache(1)
    used: dict[PrefixNode, int] = {}
    for clock in range(400):
        tokens = [rng.randrange(3) for _ in range(rng.randrange(1, 6))]
        chain, _ = cache.match(tokens, len(tokens))
        for node in chain:
            cache.acquire(node)
        for index in range(len(chain), len(tokens)):
            fresh = cache.insert(chain, (tokens[index],), clock * 10 + index)
            assert fresh is not None
            fresh.computed = True
            chain.append(fresh)
        cache.release(chain)
        used |= dict.fromkeys(chain, clock)
        if rng.random() < 0.3:
            leaves = {node.page: node for node in used if not node.children}
            oldest = min(leaves.values(), key=lambda node: used[node])
            assert cache.evict(1) == [oldest.page]
            del used[oldest]
        assert len(cache._evictable) <= len(used) == cache.num_idle
