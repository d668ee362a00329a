"""A benchmark and a server that do not exist: sums, and a model that answers as a test says."""

import gc
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import TaskState

from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.catalogue import Row
from openk2.record import DataError

Answer = Callable[[str, dict[str, Any]], str]


def read_sums(folder: Path) -> list[Sample]:
    """One JSON object a line: id, question, answer, and perhaps group."""
    samples = []
    for number, line in enumerate((folder / "sums.jsonl").read_text().splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{folder / 'sums.jsonl'}:{number}: not JSON") from error
        metadata = {"stop": ["\n"]} | ({"group": row["group"]} if "group" in row else {})
        samples.append(
            Sample(id=row["id"], input=row["question"], target=row["answer"], metadata=metadata)
        )
    return samples


@scorer(metrics=[accuracy()])
def equal() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        answer = state.output.completion.strip()
        return Score(value=float(answer == target.text), answer=answer)

    return score


def sums(name: str = "sums", **protocol: Any) -> Benchmark:
    return Benchmark(
        name=name,
        title="Sums",
        paper="https://example.com/sums",
        protocol=Protocol("Acc", **protocol),
        source=DataHome("sums", ("sums.jsonl",), "make it up"),
        read=read_sums,
        scorer=equal,
    )


def write_sums(data: Path, count: int = 6, groups: tuple[str, ...] = ()) -> Path:
    """Questions 0+1, 1+1, 2+1 and so on, below --data."""
    (data / "sums").mkdir(parents=True, exist_ok=True)
    rows = []
    for n in range(count):
        row = {"id": f"q{n}", "question": f"{n}+1", "answer": str(n + 1)}
        rows.append(row | ({"group": groups[n % len(groups)]} if groups else {}))
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (data / "sums" / "sums.jsonl").write_text(text)
    return data


def row_of(benchmark: Benchmark, table: Any = "instruct") -> Row:
    """A row whose benchmark is this module's attribute of that name, which the caller sets."""
    attribute = benchmark.name.upper().replace("-", "_")
    globals()[attribute] = benchmark
    return Row(table, "Made up", benchmark.title, "Acc", f"{__name__}:{attribute}", {})


def right(question: str, body: dict[str, Any]) -> str:
    """The right answer to a sum."""
    first, _, second = question.rpartition("\n")[2].partition("+")
    return str(int(first) + int(second))


class FakeServer(ThreadingHTTPServer):
    """Answers chats and completions with what `answer` gives; bodies: as received, in order.

    With echo each character is a token: in a prompt's last one, a digit's log-probability is
    minus its distance to what `answer` gives.
    """

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []
        self.card: dict[str, Any] = {"id": "fake", "object": "model"}
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def reply(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/chat/completions"):
            message = {"role": "assistant", "content": self.text(body["messages"][-1], body)}
            return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        if body.get("echo"):
            return {"choices": [self.echoed(n, p, body) for n, p in enumerate(prompts)]}
        texts = [self.answer(prompt, body) for prompt in prompts]
        return {
            "choices": [
                {"index": n, "text": t, "finish_reason": "stop"} for n, t in enumerate(texts)
            ]
        }

    def text(self, message: dict[str, Any], body: dict[str, Any]) -> str:
        content = message["content"]
        if isinstance(content, list):
            content = content[0]["text"]
        return self.answer(content, body)

    def echoed(self, index: int, prompt: str, body: dict[str, Any]) -> dict[str, Any]:
        likely = self.answer(prompt[:-2], body)
        scores = [None, *(-1.0 for _ in prompt[1:-1]), -abs(ord(likely) - ord(prompt[-1])) / 4]
        logprobs = {
            "tokens": list(prompt),
            "token_logprobs": scores,
            "text_offset": list(range(len(prompt))),
        }
        return {"index": index, "text": prompt, "logprobs": logprobs, "finish_reason": "length"}


class Handler(BaseHTTPRequestHandler):
    """HTTP for `FakeServer`."""

    server: FakeServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send(200, {"object": "list", "data": [self.server.card]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        try:
            answer = self.server.reply(self.path, body)
        except ConnectionRefusedError as error:
            self.send(400, {"error": {"message": str(error)}})
            return
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        head = {"id": "x", "object": "chat.completion", "created": 1, "model": "fake"}
        self.send(200, {**head, **answer, "usage": usage})

    def send(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def fake_server(answer: Answer = right) -> Iterator[FakeServer]:
    """A server on the loopback, closed afterwards."""
    with FakeServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def collect_inspects_garbage() -> Iterator[None]:
    """A fixture: inspect leaves the clients of its models to the garbage collector, which would
    warn in some later test."""
    yield
    gc.collect()
