"""A Hugging Face hub on the loopback: models of any files, and faults on demand."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest

COMMIT = "c0ffee" + "0" * 34


@dataclass
class FakeHub:
    """models: repository -> revision -> commit; files: commit -> name -> bytes.

    refusals: repository -> (status, X-Error-Code). altered: names whose bytes arrive changed.
    lost: names that are described and cannot be had.
    cut: name -> bytes after which the next connection breaks. large: files from this size on have a
    SHA-256, as LFS files have. asked: (method, path) of every request; ranges: of every download.
    """

    url: str
    models: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    altered: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    cut: dict[str, int] = field(default_factory=dict)
    large: int = 1000
    asked: list[tuple[str, str]] = field(default_factory=list)
    ranges: list[tuple[str, str | None]] = field(default_factory=list)

    def add(self, repository: str, folder: Path, commit: str = COMMIT) -> None:
        """A model with the files of a folder, as its main branch."""
        self.models.setdefault(repository, {})["main"] = commit
        self.models[repository][commit] = commit
        self.files[commit] = {path.name: path.read_bytes() for path in folder.iterdir()}

    @property
    def downloads(self) -> list[str]:
        """Names of the files whose bytes were asked for, in order."""
        return [name for name, _ in self.ranges]

    def description(self, repository: str, commit: str) -> bytes:
        """The answer to /api/models."""
        siblings = []
        for name, data in self.files[commit].items():
            entry: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": "0" * 40}
            if len(data) >= self.large:
                digest = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"size": len(data), "sha256": digest, "pointerSize": 130}
            siblings.append(entry)
        return json.dumps({"id": repository, "sha": commit, "siblings": siblings}).encode()

    def etag(self, data: bytes) -> str:
        """SHA-256 of a large file, something else of a small one."""
        if len(data) >= self.large:
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(data).hexdigest()


@contextmanager
def fake_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that the library asks, with its cache in `cache`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            hub.asked.append((self.command, self.path))
            path = self.path.partition("?")[0]
            api = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)
            file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            found = api or file
            if found is None:
                return self.refuse(404, "")
            repository, revision = found[1], found[2] or "main"
            if repository in hub.refusals:
                return self.refuse(*hub.refusals[repository])
            if repository not in hub.models:
                return self.refuse(401, "RepoNotFound")
            if revision not in hub.models[repository]:
                return self.refuse(404, "RevisionNotFound")
            commit = hub.models[repository][revision]
            if api:
                return self.send(200, hub.description(repository, commit), {})
            return self.send_file(commit, file[3])

        def send_file(self, commit: str, name: str) -> None:
            data = hub.files[commit].get(name)
            if data is None or name in hub.lost:
                return self.refuse(404, "EntryNotFound")
            headers = {"X-Repo-Commit": commit, "ETag": f'"{hub.etag(data)}"'}
            if self.command == "HEAD":
                return self.send(200, data, headers)
            wanted = self.headers.get("Range")
            hub.ranges.append((name, wanted))
            if name in hub.altered:
                data = bytes([data[0] ^ 1]) + data[1:]
            if wanted is None:
                return self.send(200, data, headers, hub.cut.pop(name, None))
            first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            return self.send(206, data[first:], headers, hub.cut.pop(name, None))

        def refuse(self, status: int, code: str) -> None:
            self.send(status, b"{}", {"X-Error-Code": code} if code else {})

        def send(
            self, status: int, data: bytes, headers: dict[str, str], cut: int | None = None
        ) -> None:
            self.send_response(status)
            for header, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(header, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data[:cut])
            if cut is not None:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = FakeHub(f"http://127.0.0.1:{server.server_address[1]}")
    constants = huggingface_hub.constants
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
