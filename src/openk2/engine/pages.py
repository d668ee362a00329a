"""`PagePool`: which pages of a cache are free. Plain integers; it knows no tensor and no request.

Pages of one size mean that a freed page fits any later request, so the cache never fragments
(PagedAttention, arXiv 2309.06180).
"""

from collections.abc import Iterable


class PageError(RuntimeError):
    """A page was asked for that is not free, or given back that is not in use."""


class PagePool:
    """Pages 0 .. count-1, each either free or in use."""

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"a page pool of {count} pages: it needs at least 1")
        self.count = count
        self._free = list(range(count - 1, -1, -1))
        self._used: set[int] = set()

    @property
    def free(self) -> int:
        """How many pages can be allocated now."""
        return len(self._free)

    def allocate(self, count: int) -> list[int]:
        """Take `count` pages. Raises PageError, and takes none, when fewer are free."""
        if count > len(self._free):
            raise PageError(f"{count} pages asked for, {len(self._free)} of {self.count} are free")
        pages = [self._free.pop() for _ in range(count)]
        self._used.update(pages)
        return pages

    def release(self, pages: Iterable[int]) -> None:
        """Give pages back. Raises PageError for a page that is not in use."""
        for page in pages:
            if page not in self._used:
                raise PageError(f"page {page} was given back, but it is not in use")
            self._used.remove(page)
            self._free.append(page)
