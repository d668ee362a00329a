"""`MaskWork`: how much processor time the schemas of one request may take."""

from openk2.generation.request_error import RequestError

# A tool of everyday size takes some 5 ms, so a thousand of them fit.
MAX_SECONDS = 10.0


class MaskWork:
    """What the masks of one request have taken so far, in seconds of the processor.

    A request that takes more is refused by the name of the field that took the most.
    What was compiled for others costs nothing. One thread works; `abandon` may come from another.
    """

    def __init__(self, seconds: float = MAX_SECONDS) -> None:
        self._seconds = seconds
        self._spent: dict[str, float] = {}
        self._abandoned = False

    def check(self) -> None:
        """Raise RequestError if no more may be done: call it before each schema."""
        if self._abandoned:
            raise RequestError("nobody waits for the answer any more")
        if sum(self._spent.values()) >= self._seconds:
            field = max(self._spent, key=lambda name: self._spent[name])
            message = f"the schemas take more than {self._seconds:g} seconds to compile"
            raise RequestError(f"{field}: {message}, send fewer or simpler ones", field)

    def spend(self, field: str, seconds: float) -> None:
        """Count what a schema took. field: of the request, where the schema is."""
        self._spent[field] = self._spent.get(field, 0.0) + seconds

    def abandon(self) -> None:
        """End the work at the next check: its client left."""
        self._abandoned = True
