"""Server-sent events as a client reads them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from openk2.verify.wire.endpoint import EndpointFault, Response, shown

DONE = "[DONE]"


@dataclass(frozen=True)
class ServerEvent:
    """One event. name: of its `event:` line, empty without one."""

    name: str
    data: str

    def json(self) -> dict[str, Any]:
        """The JSON object that it carries. Raises EndpointFault."""
        try:
            value = json.loads(self.data)
        except (ValueError, RecursionError) as error:
            raise EndpointFault(f"an event is not JSON: {shown(self.data)}") from error
        if not isinstance(value, dict):
            raise EndpointFault(f"an event is no JSON object: {shown(self.data)}")
        return value


def read_events(response: Response) -> list[ServerEvent]:
    """The events of a stream. Raises EndpointFault if it is not a stream."""
    if not response.content_type.startswith("text/event-stream"):
        raise EndpointFault(
            f"a stream was asked for, but the content type is {response.content_type!r}: "
            "send text/event-stream"
        )
    return list(_events(response.text))


def _events(text: str) -> Iterator[ServerEvent]:
    # Not splitlines: it also splits at U+2028, which JSON strings may hold.
    name, data = "", []
    for line in [*text.replace("\r\n", "\n").split("\n"), ""]:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif not line:
            if data:
                yield ServerEvent(name, "\n".join(data))
            name, data = "", []
