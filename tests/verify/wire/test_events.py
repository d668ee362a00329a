"""Server-sent events as a client reads them."""

import pytest

from openk2.verify import EndpointFault
from openk2.verify.wire.endpoint import Response
from openk2.verify.wire.events import read_events


def test_events_are_split_at_line_feeds_alone():
    body = ': ping\r\n\r\nevent: a\r\ndata: {"x": "1\u20282"}\r\n\r\ndata: one\ndata: two\n\n'
    events = read_events(Response(200, "text/event-stream; charset=utf-8", body.encode()))
    assert [(event.name, event.data) for event in events] == [
        ("a", '{"x": "1\u20282"}'),
        ("", "one\ntwo"),
    ]


def test_a_stream_of_another_content_type_is_a_fault():
    with pytest.raises(EndpointFault, match="text/event-stream"):
        read_events(Response(200, "application/json", b"data: {}\n\n"))
