"""An engine that others run, made up: a real HTTP server with switches for everything it may do."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from openk2.chat import Tokenizer

Output = Callable[[list[int], dict[str, Any]], Sequence[int]]


class FakeUpstream:
    """Goes on from any prompt with what `output` gives for (ids so far, body of the request).

    The ids so far are those behind the last <|im_middle|>, or without one what the prompt has
    beyond the first request's. An async context manager.

    gives_ids: beside the text. refuses: fields, and kinds of structured outputs, that get a 400.
    faults: of the requests in order, None for none: "drop", "die", "500", "busy", "garbage",
    "abort", "missing", "silent", "echo" (a 400 that quotes the request).
    size: tokens a chunk. pace: seconds before each. bodies: as received. left: set when a client
    closed its connection before the end.
    """

    def __init__(self, tokenizer: Tokenizer, output: Output | Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self.output: Output = output if callable(output) else lambda done, body: output[len(done) :]
        self.card: dict[str, Any] = {"id": "k2", "owned_by": "vllm", "max_model_len": 5000}
        self.gives_ids = True
        self.refuses: set[str] = set()
        self.faults: list[str | None] = []
        self.size = 1
        self.pace = 0.0
        self.health = 404
        self.cached = 0
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.base: int | None = None
        self.left = asyncio.Event()

    async def __aenter__(self) -> "FakeUpstream":
        self.server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                self.headers.append(head)
                length = head.lower().partition("content-length:")[2].partition("\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                if head.startswith("GET"):
                    self.send_json(writer, *self.about(head))
                    continue
                work = asyncio.create_task(self.complete(writer, json.loads(body)))
                gone = asyncio.create_task(reader.read(1))
                done, _ = await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
                if work not in done:
                    work.cancel()
                    self.left.set()
                gone.cancel()
                break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def about(self, head: str) -> tuple[int, object]:
        if "/health" in head:
            return self.health, {}
        return 200, {"object": "list", "data": [self.card]}

    def send_json(self, writer: asyncio.StreamWriter, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)

    def send_event(self, writer: asyncio.StreamWriter, value: object) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        event = f"data: {text}\n\n".encode()
        writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    async def complete(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        self.bodies.append(body)
        fault = self.faults.pop(0) if self.faults else None
        errors = {
            "500": (500, "boom"),
            "busy": (503, "full"),
            "missing": (404, "no such model"),
            "echo": (400, f"cannot read {json.dumps(body)}"),
        }
        named = sorted(self.refuses & {*body, *body.get("structured_outputs", ())})
        if fault in errors or named:
            status, message = errors.get(fault or "", (400, f"{named}: unknown field"))
            self.send_json(writer, status, {"error": {"message": message}})
            return
        if fault == "silent":
            await asyncio.sleep(60)
        if fault == "drop":
            return
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if fault == "garbage":
            self.send_event(writer, "{not json")
            return
        try:
            await self.stream(writer, body, fault)
        except ConnectionError:
            self.left.set()

    async def stream(
        self, writer: asyncio.StreamWriter, body: dict[str, Any], fault: str | None
    ) -> None:
        prompt = body["prompt"]
        middle = self.tokenizer.special("<|im_middle|>")
        if middle in prompt:
            self.base = len(prompt) - prompt[::-1].index(middle)
        else:
            self.base = self.base or len(prompt)
        ids = list(self.output(prompt[self.base :], body))[: body["max_tokens"]]
        stops = set(body.get("stop_token_ids") or self.tokenizer.stop_ids)
        stopped = bool(ids) and ids[-1] in stops
        shown = b""
        if not ids:
            self.send_event(writer, {"choices": [{"text": "", "finish_reason": "stop"}]})
        for start in range(0, len(ids), self.size):
            part = ids[start : start + self.size]
            said = [i for i in part if not (stopped and i == ids[-1] and i in stops)]
            text, shown = self.text(shown, said, last=start + self.size >= len(ids))
            choice = {"index": 0, "text": text, "finish_reason": None}
            if self.gives_ids and body.get("return_token_ids"):
                choice["token_ids"] = part
            if body.get("logprobs") is not None:
                choice["logprobs"] = self.scores(part, body)
            if fault == "die" and start >= 2:
                return
            if start + self.size >= len(ids):
                choice["finish_reason"] = "stop" if stopped else "length"
                if fault == "abort":
                    choice["finish_reason"] = "abort"
            self.send_event(writer, {"choices": [choice]})
            await writer.drain()
            await asyncio.sleep(self.pace)
        usage: dict[str, Any] = {"prompt_tokens": len(prompt), "completion_tokens": len(ids)}
        usage["prompt_tokens_details"] = {"cached_tokens": self.cached}
        self.send_event(writer, {"choices": [], "usage": usage})
        self.send_event(writer, "[DONE]")
        writer.write(b"0\r\n\r\n")

    def text(self, shown: bytes, ids: Sequence[int], *, last: bool) -> tuple[str, bytes]:
        """Whole characters only, as engines send them."""
        data = shown + self.tokenizer.decode_bytes(ids)
        whole = data.decode("utf-8", "replace" if last else "ignore")
        return whole, data[len(whole.encode()) :]

    def scores(self, ids: Sequence[int], body: dict[str, Any]) -> dict[str, Any]:
        def name(token_id: int) -> str:
            if body.get("return_tokens_as_token_ids"):
                return f"token_id:{token_id}"
            token = self.tokenizer.decode_bytes([token_id])
            try:
                return token.decode()
            except UnicodeDecodeError:
                return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)

        return {
            "tokens": [name(i) for i in ids],
            "token_logprobs": [-i / 1024 for i in ids],
            "top_logprobs": [{name(i): -i / 1024, name(65): -9.0} for i in ids],
        }
