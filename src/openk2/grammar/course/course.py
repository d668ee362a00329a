"""`Course`: an output being written, whatever its length."""

from typing import Protocol

from openk2.grammar.matcher import Words


class Course(Protocol):
    """An output on its way, without a thought of its length. `undo` takes back the last id only.

    owing: whether something was begun that has to be closed.
    """

    @property
    def owing(self) -> bool: ...

    def fill(self, words: Words) -> None:
        """Write the ids that may come next into zeroed or used words."""
        ...

    def take(self, token_id: int) -> None: ...

    def undo(self) -> None: ...

    def bound(self) -> int:
        """Tokens to the end, at most, the stop token included."""
        ...

    def growth(self, opened: int) -> int:
        """Tokens that the way to the end may have grown by since `opened`, at most."""
        ...

    @property
    def opened(self) -> int: ...

    @property
    def depth(self) -> int:
        """Lists and objects that are open."""
        ...

    def closing(self) -> list[int] | None:
        """Ids to the end, the stop token included; None if none were found."""
        ...

    def remainder(self) -> str | None:
        """A Lark grammar of what is missing of the value, or the id of a call, that is being
        written; None where none is, or where that cannot be written."""
        ...

    def forgo(self) -> None:
        """Never again begin what did not fit; only asked for where nothing is owing."""
        ...
