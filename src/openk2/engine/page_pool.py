"""`PagePool`: which pages of the cache are free. Plain integers; no tensors, no requests.

All pages have one size, so a freed page fits any later request and the cache never fragments
(PagedAttention, arXiv 2309.06180).
"""

from collections.abc import Iterable


class PageError(RuntimeError):
    """More pages were requested than are free, or a page was freed that is not in use."""


class PagePool:
    """Pages 0 to num_pages - 1, each either free or in use."""

    def __init__(self, num_pages: int) -> None:
        if num_pages < 1:
            raise ValueError(f"num_pages is {num_pages}: it must be at least 1")
        self.num_pages = num_pages
        self._free = list(range(num_pages - 1, -1, -1))
        self._used: set[int] = set()

    @property
    def num_free(self) -> int:
        """How many pages can be allocated now."""
        return len(self._free)

    def allocate(self, count: int) -> list[int]:
        """Take `count` pages. Raises PageError, and takes none, if fewer are free."""
        if count > self.num_free:
            raise PageError(f"{count} pages requested, {self.num_free} of {self.num_pages} free")
        pages = [self._free.pop() for _ in range(count)]
        self._used.update(pages)
        return pages

    def free(self, pages: Iterable[int]) -> None:
        """Return pages to the pool. Raises PageError for a page that is not in use."""
        for page in pages:
            if page not in self._used:
                raise PageError(f"page {page} was freed, but it is not in use")
            self._used.remove(page)
            self._free.append(page)
