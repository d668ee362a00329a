"""`Course`: an output in progress, without regard to its length."""

from typing import Protocol

from openk2.grammar.course.nesting import Nesting
from openk2.grammar.matcher import MaskWords


class Course(Protocol):
    """An output on its way, without a thought of its length."""

    @property
    def nesting(self) -> Nesting | None:
        """Where in JSON the output is; None where it is in none."""
        ...

    def fill(self, words: MaskWords) -> None:
        """Write the ids that may come next into a mask int32 [words], whatever it contains."""
        ...

    def take(self, token_id: int) -> bool:
        """Append an id. False: it is refused after all, and another has to be chosen.

        Raises ValueError for an id that may not come here; nothing has changed.
        """
        ...

    def shortest(self) -> int:
        """Ids of the shortest output, the stop token included; only asked of a fresh one."""
        ...

    def remainder(self) -> str | None:
        """A Lark grammar of what is missing of the current value or call id.

        None if there is none, or if it has no such grammar.
        """
        ...
