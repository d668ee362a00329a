"""`Streak`: when a server that is gone is not asked on."""

from openk2.generation import EndpointError

MOST_FAILURES = 16


class Streak:
    """Answers that failed one after another.

    Each failure has been retried for most of a minute, which for thousands of questions is hours.
    """

    def __init__(self) -> None:
        self.failures = 0

    def check(self) -> None:
        """Raises EndpointError after MOST_FAILURES in a row."""
        if self.failures >= MOST_FAILURES:
            raise EndpointError(f"not asked, as the {MOST_FAILURES} answers before had errors")
