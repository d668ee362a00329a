"""A host of a thinking model that is made up, and as strict as the vendor's own service.

It answers 400 in the vendor's words to a turn with calls and no reasoning, to more than 128 tools,
and to call ids that do not follow K2's counter. Its model calls a tool in every turn until it has
made `rounds` calls, each after a thought that is its own, so that a lost thought is seen.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MISSING = (
    "thinking is enabled but reasoning_content is missing in assistant tool call message at index "
)
MOST_TOOLS = 128
CANONICAL = re.compile(r"functions\.(.+):(\d+)")
NAME = "k2"


def thought(conversation: str, number: int) -> str:
    """What the model thinks before its call `number`."""
    return f"In {conversation} I look at {number}.\nThen I go on. 雪"


class StrictHost:
    """rounds: calls that the model makes in a conversation. needs_thoughts, needs_ids: what it is
    strict about. owner: `owned_by` of its model card.

    bodies: as received. refusals: its messages. complete, incomplete: how many turns with calls
    came with the thought that the model had, or with another one.
    """

    def __init__(self, rounds: int, *, needs_thoughts: bool = True, needs_ids: bool = True) -> None:
        self.rounds, self.needs_thoughts, self.needs_ids = rounds, needs_thoughts, needs_ids
        self.owner = "someone"
        self.bodies: list[dict[str, Any]] = []
        self.refusals: list[str] = []
        self.complete = self.incomplete = 0
        self.lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[str]:
        """Its URL."""
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host.send(self, 200, {"data": [{"id": NAME, "owned_by": host.owner}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with host.lock:
                    host.bodies.append(body)
                    problem = host.problem(body)
                if problem is None:
                    host.answer(self, body)
                else:
                    host.refusals.append(problem)
                    error = {"message": problem, "type": "invalid_request_error"}
                    host.send(self, 400, {"error": error})

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        with Server(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()

    def problem(self, body: dict[str, Any]) -> str | None:
        """What is wrong with a request; None if nothing is."""
        tools = body.get("tools") or ()
        if len(tools) > MOST_TOOLS:
            expected = f"Expected an array with maximum length {MOST_TOOLS}"
            return f"Invalid 'tools': array too long. {expected}, but got {len(tools)}"
        number = 0
        conversation = conversation_of(body["messages"])
        for index, message in enumerate(body["messages"]):
            if message["role"] != "assistant" or not message.get("tool_calls"):
                continue
            given = message.get("reasoning_content")
            if self.needs_thoughts and not given:
                return f"{MISSING}{index}"
            if given == thought(conversation, number):
                self.complete += 1
            else:
                self.incomplete += 1
            for call in message["tool_calls"]:
                name = call["function"]["name"]
                if self.needs_ids and call["id"] != f"functions.{name}:{number}":
                    return f"tool_call_id {call['id']} is not found"
                number += 1
        return None

    def answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        """The model's next turn."""
        messages = body["messages"]
        calls = [call for message in messages for call in message.get("tool_calls") or ()]
        number = len(calls)
        call = None
        deltas: list[dict[str, Any]] = []
        if number < self.rounds:
            said = thought(conversation_of(messages), number)
            deltas += [{"reasoning_content": said[i : i + 9]} for i in range(0, len(said), 9)]
            given = {"name": "look", "arguments": json.dumps({"n": number})}
            call = {"id": f"functions.look:{number}", "type": "function", "function": given}
            deltas.append({"tool_calls": [{**call, "index": 0}]})
        else:
            deltas += [{"reasoning_content": "All is seen."}, {"content": "done"}]
        reason = "stop" if call is None else "tool_calls"
        usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        head = {"id": "x", "created": 1, "model": NAME}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "" if call else "done"}
            message["reasoning_content"] = "".join(d.get("reasoning_content", "") for d in deltas)
            if call:
                message["tool_calls"] = [call]
            choice = {"index": 0, "message": message, "finish_reason": reason}
            head["object"] = "chat.completion"
            self.send(handler, 200, {**head, "choices": [choice], "usage": usage})
            return
        head["object"] = "chat.completion.chunk"
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "finish_reason": reason})
        events = [{**head, "choices": [choice]} for choice in choices]
        events[-1]["usage"] = usage
        text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        self.send_bytes(handler, 200, text.encode(), "text/event-stream")

    def send(self, handler: BaseHTTPRequestHandler, status: int, value: object) -> None:
        self.send_bytes(handler, status, json.dumps(value).encode(), "application/json")

    def send_bytes(
        self, handler: BaseHTTPRequestHandler, status: int, data: bytes, kind: str
    ) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


def conversation_of(messages: list[dict[str, Any]]) -> str:
    """The user's first message, which names a conversation."""
    return next(str(message["content"]) for message in messages if message["role"] == "user")
