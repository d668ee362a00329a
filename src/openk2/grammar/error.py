"""`GrammarError`, the one error of this package."""

TOO_MUCH = "takes too much work: fewer branches, names, values or patterns do"


class GrammarError(ValueError):
    """A demand that cannot be enforced. The message says why and what to change.

    tool: the tool whose schema is at fault; None for a response format.
    pointer: where in that schema, a JSON pointer from `#`.
    keyword: the keyword that cannot be enforced; None if the fault is another.
    shortest: how many ids the shortest output has, if it does not fit into max_tokens.
    """

    def __init__(
        self,
        problem: str,
        *,
        pointer: str = "#",
        keyword: str | None = None,
        tool: str | None = None,
        shortest: int | None = None,
    ) -> None:
        self.problem = problem
        self.pointer = pointer
        self.keyword = keyword
        self.tool = tool
        self.shortest = shortest
        place = f"{pointer}/{keyword}" if keyword else pointer
        owner = f"tool {tool!r}: " if tool is not None else ""
        super().__init__(f"{owner}{place} {problem}" if shortest is None else problem)

    def again(self) -> "GrammarError":
        """The same error, to be raised once more."""
        return GrammarError(self.problem, pointer=self.pointer, keyword=self.keyword)

    def of_tool(self, tool: str) -> "GrammarError":
        """The same error, naming the tool."""
        return GrammarError(self.problem, pointer=self.pointer, keyword=self.keyword, tool=tool)
