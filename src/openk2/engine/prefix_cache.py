"""`PrefixCache`: which pages hold which token prefixes, so that requests can share them.

A radix tree over whole pages (RadixAttention, arXiv 2312.07104): a node is one full page, its
parent the page before it. The latents of a page depend on the tokens up to its end and on nothing
else, so every request with the same tokens may read the same page. Plain integers, no tensors.
"""

import heapq
import itertools
from collections.abc import Sequence


class PrefixNode:
    """One shared page.

    tokens: the ids it holds. computed: whether its latents are in the cache; until then one
    request computes them and others wait. ref_count: the requests that use it; at 0 it may be
    evicted. offered: whether it has an entry among the evictable.
    """

    __slots__ = (
        "children",
        "computed",
        "last_use",
        "offered",
        "page",
        "parent",
        "ref_count",
        "tokens",
    )

    def __init__(self, tokens: tuple[int, ...], page: int, parent: "PrefixNode | None") -> None:
        self.tokens, self.page, self.parent = tokens, page, parent
        self.children: dict[tuple[int, ...], PrefixNode] = {}
        self.computed = False
        self.ref_count = 0
        self.last_use = 0
        self.offered = False


class PrefixCache:
    """The nodes in use, and idle ones that a later request may want again."""

    def __init__(self, page_size: int) -> None:
        self.page_size = page_size
        self.num_idle = 0  # nodes with a ref_count of 0
        self._root = PrefixNode((), -1, None)
        self._clock = 0
        self._ticket = itertools.count()  # breaks ties, so that nodes are never compared
        # Every idle leaf once, least recently used first, and at most once any other node. An entry
        # may be out of date (in use, no longer a leaf, used since); `evict` drops or renews it.
        self._evictable: list[tuple[int, int, PrefixNode]] = []

    def match(
        self, tokens: Sequence[int], max_pages: int, known: list[PrefixNode] | None = None
    ) -> tuple[list[PrefixNode], bool]:
        """The longest chain of computed nodes that `tokens` start with, at most `max_pages`.

        The flag is true if the next page is being computed right now: waiting for it is free.
        known: what an earlier call with these tokens found. If all of it is still there, the search
        goes on from it, and the list is extended.
        """
        # Only leaves are evicted, so the last one's being there means that all are.
        chain = known if known and known[-1].parent is not None else []
        node = chain[-1] if chain else self._root
        while len(chain) < max_pages:
            child = node.children.get(self.page_tokens(tokens, len(chain)))
            if child is None:
                break
            if not child.computed:
                return chain, True
            chain.append(child)
            node = child
        return chain, False

    def page_tokens(self, tokens: Sequence[int], index: int) -> tuple[int, ...]:
        """The tokens of page `index`."""
        return tuple(tokens[index * self.page_size : (index + 1) * self.page_size])

    def acquire(self, node: PrefixNode) -> None:
        """Count one more request that uses the node."""
        self.num_idle -= node.ref_count == 0
        node.ref_count += 1

    def insert(
        self, chain: Sequence[PrefixNode], tokens: tuple[int, ...], page: int
    ) -> PrefixNode | None:
        """Add a node after `chain`, which the caller holds; the caller will compute its page.

        Returns None if a node with these tokens exists.
        """
        parent = chain[-1] if chain else self._root
        if tokens in parent.children:
            return None
        node = parent.children[tokens] = PrefixNode(tokens, page, parent)
        node.ref_count = 1
        return node

    def find(self, chain: Sequence[PrefixNode], tokens: tuple[int, ...]) -> PrefixNode | None:
        """The computed node with these tokens after `chain`."""
        found = (chain[-1] if chain else self._root).children.get(tokens)
        return found if found is not None and found.computed else None

    def release(self, chain: Sequence[PrefixNode]) -> list[int]:
        """One request drops its chain. Returns pages that were never computed: free them."""
        self._clock += 1
        freed: list[int] = []
        for node in reversed(chain):
            node.ref_count -= 1
            if node.ref_count:
                continue
            if node.computed:
                self.num_idle += 1
                node.last_use = self._clock
                self._offer(node)
            else:
                self._unlink(node)
                freed.append(node.page)
        return freed

    def evict(self, count: int) -> list[int]:
        """Drop up to `count` idle nodes, least recently used first; returns their pages."""
        pages: list[int] = []
        while self._evictable and len(pages) < count:
            last_use, _, node = heapq.heappop(self._evictable)
            node.offered = False
            if node.ref_count or node.children or node.last_use != last_use:
                self._offer(node)
                continue
            parent = node.parent
            assert parent is not None
            self._unlink(node)
            self.num_idle -= 1
            pages.append(node.page)
            self._offer(parent)
        return pages

    def _offer(self, node: PrefixNode) -> None:
        """Make an idle leaf evictable."""
        idle_leaf = node.parent is not None and not node.ref_count and not node.children
        if idle_leaf and not node.offered:
            node.offered = True
            heapq.heappush(self._evictable, (node.last_use, next(self._ticket), node))

    def _unlink(self, node: PrefixNode) -> None:
        assert node.parent is not None
        del node.parent.children[node.tokens]
        node.parent = None
