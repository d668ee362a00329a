"""`Course`: an output in progress, without regard to its length."""

from typing import Protocol

from openk2.grammar.matcher import MaskWords


class Course(Protocol):
    """An output in progress. `undo` takes back the last id, and only that.

    owing: whether something was opened that must be closed.
    """

    @property
    def owing(self) -> bool: ...

    def fill(self, words: MaskWords) -> None:
        """Write the ids that may come next into a mask int32 [words], whatever it contains."""
        ...

    def take(self, token_id: int) -> None:
        """Append an id. Raises ValueError for one that may not come here."""
        ...

    def undo(self) -> None:
        """Take the last id back."""
        ...

    def bound(self) -> int:
        """An upper bound of the tokens to the end, including the stop token."""
        ...

    def growth(self, opened: int) -> int:
        """An upper bound of what the tokens to the end have grown by since `opened`."""
        ...

    @property
    def opened(self) -> int:
        """How many arrays, objects and members were ever opened."""
        ...

    @property
    def depth(self) -> int:
        """How many arrays and objects are open."""
        ...

    def closing(self) -> list[int] | None:
        """The ids of the shortest end, including the stop token; None if none is found."""
        ...

    def remainder(self) -> str | None:
        """A Lark grammar of what is missing of the current value or call id.

        None if there is none, or if it has no such grammar.
        """
        ...

    def forgo(self) -> None:
        """Never open again what did not fit; called only if nothing is owing."""
        ...
