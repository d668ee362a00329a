"""`PrefixTree`: which pages hold the latents of which beginnings, so that requests share them.

A radix tree over whole pages (RadixAttention, arXiv 2312.07104): a node is one page full of tokens
behind its parent's. The latents of a page depend on all tokens before it and on nothing else, so
whoever has the same tokens may read the same page. Plain integers; it knows no tensor.
"""

import heapq
import itertools
from collections.abc import Sequence


class Node:
    """One shared page.

    block: its tokens. ready: whether its latents are computed; until then one request computes
    them and others wait for it. users: requests that hold it; without any it may be evicted.
    """

    __slots__ = ("block", "children", "last_use", "page", "parent", "ready", "users")

    def __init__(self, block: tuple[int, ...], page: int, parent: "Node | None") -> None:
        self.block, self.page, self.parent = block, page, parent
        self.children: dict[tuple[int, ...], Node] = {}
        self.ready = False
        self.users = 0
        self.last_use = 0


class PrefixTree:
    """Nodes that requests hold, and nodes that nobody holds but that may be wanted again."""

    def __init__(self, page_size: int) -> None:
        self.page_size = page_size
        self.idle = 0  # nodes without users
        self._root = Node((), -1, None)
        self._clock = 0
        self._ticket = itertools.count()  # so that no two nodes are ever compared
        # Leaves that may be evicted, least recently used first; entries that have become untrue
        # (used again, no leaf any more, evicted) are passed over when they come up.
        self._evictable: list[tuple[int, int, Node]] = []

    def match(self, tokens: Sequence[int], most: int) -> tuple[list[Node], bool]:
        """The longest chain of ready nodes that `tokens` begin with, `most` at most.

        The flag tells that the next page is just being computed: who waits gets it for nothing.
        """
        chain: list[Node] = []
        node = self._root
        while len(chain) < most:
            child = node.children.get(self.block(tokens, len(chain)))
            if child is None:
                break
            if not child.ready:
                return chain, True
            chain.append(child)
            node = child
        return chain, False

    def block(self, tokens: Sequence[int], index: int) -> tuple[int, ...]:
        """The tokens of page `index`."""
        return tuple(tokens[index * self.page_size : (index + 1) * self.page_size])

    def hold(self, node: Node) -> None:
        """Count one more user."""
        self.idle -= node.users == 0
        node.users += 1

    def insert(self, chain: Sequence[Node], block: tuple[int, ...], page: int) -> Node | None:
        """Add a node behind `chain` that the caller holds and whose page it is about to fill.

        Returns None if there is one with these tokens already.
        """
        parent = chain[-1] if chain else self._root
        if block in parent.children:
            return None
        node = parent.children[block] = Node(block, page, parent)
        node.users = 1
        return node

    def child(self, chain: Sequence[Node], block: tuple[int, ...]) -> Node | None:
        """The ready node with these tokens behind `chain`."""
        found = (chain[-1] if chain else self._root).children.get(block)
        return found if found is not None and found.ready else None

    def release(self, chain: Sequence[Node]) -> list[int]:
        """One user leaves its chain; returns the pages that nobody computes any more."""
        self._clock += 1
        freed: list[int] = []
        for node in reversed(chain):
            node.users -= 1
            if node.users:
                continue
            if node.ready:
                self.idle += 1
                node.last_use = self._clock
                self._offer(node)
            else:
                self._unlink(node)
                freed.append(node.page)
        return freed

    def evict(self, count: int) -> list[int]:
        """Forget up to `count` nodes without users, least recently used first; their pages."""
        pages: list[int] = []
        while self._evictable and len(pages) < count:
            last_use, _, node = heapq.heappop(self._evictable)
            if node.users or node.children or node.last_use != last_use or node.parent is None:
                continue
            parent = node.parent
            self._unlink(node)
            self.idle -= 1
            pages.append(node.page)
            self._offer(parent)
        return pages

    def _offer(self, node: Node) -> None:
        """Make a node evictable if nobody uses it or what is behind it."""
        if node.parent is not None and not node.users and not node.children:
            heapq.heappush(self._evictable, (node.last_use, next(self._ticket), node))

    def _unlink(self, node: Node) -> None:
        assert node.parent is not None
        del node.parent.children[node.block]
        node.parent = None
