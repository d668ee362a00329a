"""A group of commands in which what is wrong with files is one line and exit status 1."""

from typing import Any

import typer
from typer.core import TyperGroup


class OneLineGroup(TyperGroup):
    """Reports a file that cannot be read or written, or that holds something else, in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. A traceback is for faults of the program, not for a mistyped name."""
        from openk2.chat import TokenizerError
        from openk2.config import RecipeError
        from openk2.data import DataError
        from openk2.record import printable
        from openk2.synthesis import ArchiveError, CatalogueError

        known = (ArchiveError, CatalogueError, DataError, OSError, RecipeError, TokenizerError,
                 UnicodeError)  # fmt: skip
        try:
            return super().invoke(ctx)
        except known as error:
            typer.echo(f"error: {printable(' '.join(str(error).split()))}", err=True)
            raise typer.Exit(1) from error
