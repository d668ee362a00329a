"""`--requests`: the vendor's public format, one chat-completions body per line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openk2.chat import argument_problem, schema_problem
from openk2.verify.checks import Check
from openk2.verify.outcome import CheckOutcome, judged
from openk2.verify.wire.endpoint import EndpointFault
from openk2.verify.wire.probe import CHAT, Probe, accepted, all_of
from openk2.verify.wire.reply import Reply, read_stream, read_whole

Body = Mapping[str, Any]


class RequestsFileError(ValueError):
    """A file of requests that cannot be used. One line: file, line, remedy."""


@dataclass(frozen=True)
class RecordedRequest:
    """One line of a file. where: FILE:LINE. parameters: of its tools, by name."""

    where: str
    body: Body
    parameters: Mapping[str, Any]


def read_requests(path: Path) -> list[RecordedRequest]:
    """The requests of a file. Raises RequestsFileError."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestsFileError(f"{path} cannot be read: {error}") from error
    asked = [
        _read(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()
    ]
    if not asked:
        raise RequestsFileError(f"{path} holds no request: one chat-completions body a line")
    return asked


def _read(line: str, where: str) -> RecordedRequest:
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestsFileError(f"{where} is not JSON: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise RequestsFileError(f"{where} is no chat-completions body: it needs a list `messages`")
    try:
        functions = [tool["function"] for tool in body.get("tools") or ()]
        parameters = {str(f["name"]): f.get("parameters") or {} for f in functions}
    except (AttributeError, KeyError, TypeError) as error:
        raise RequestsFileError(f"{where}: tools must be a list of functions with names") from error
    for name, schema in parameters.items():
        if problem := schema_problem(schema):
            raise RequestsFileError(f"{where}: parameters of {name} are no schema: {problem}")
    return RecordedRequest(where, body, parameters)


def requests_check(path: Path, requests: list[RecordedRequest]) -> Check:
    """A check of all requests of a file."""

    async def run(probe: Probe) -> CheckOutcome:
        pairs = await all_of(_ask(probe, request) for request in requests)
        return _judge(requests, pairs)

    return Check(f"requests:{path.name}", f"{len(requests)} requests of {path.name}", run)


async def _ask(probe: Probe, request: RecordedRequest) -> tuple[Reply | str, Reply | str]:
    """The replies, whole and streamed; a string says why there is no reply."""
    body = {**request.body, "model": probe.model}
    streaming = {"stream": True, "stream_options": {"include_usage": True}}
    plain = {key: value for key, value in body.items() if key not in streaming}

    async def ask(sent: Body, stream: bool) -> Reply | str:
        try:
            response = accepted(await probe.endpoint.post(CHAT, sent))
            return read_stream(response) if stream else read_whole(response)
        except EndpointFault as fault:
            return str(fault)

    whole, streamed = await all_of((ask(plain, False), ask({**plain, **streaming}, True)))
    return whole, streamed


def _judge(
    requests: list[RecordedRequest], pairs: list[tuple[Reply | str, Reply | str]]
) -> CheckOutcome:
    faults: list[str] = []
    calls = valid = same = 0
    for request, pair in zip(requests, pairs, strict=True):
        for way, reply in zip(("whole", "streamed"), pair, strict=True):
            if isinstance(reply, str):
                faults.append(f"{request.where}, {way}: {reply}")
                continue
            for call in reply.calls:
                calls += 1
                problem = _call_problem(call.name, call.arguments, request.parameters)
                valid += problem is None
                if problem:
                    faults.append(f"{request.where}, {way}: {problem}")
        whole, streamed = pair
        if isinstance(whole, Reply) and isinstance(streamed, Reply):
            same += bool(whole.calls) == bool(streamed.calls)
    figures = f"{valid} of {calls} calls valid, {same} of {len(requests)} decisions alike both ways"
    found = judged(
        2 * len(requests),
        faults,
        passed=figures,
        remedy=f"{figures}: enforce the schema while decoding",
        measures={"calls": calls, "valid_calls": valid, "same_decision": same},
    )
    return found


def _call_problem(name: str, arguments: str, parameters: Mapping[str, Any]) -> str | None:
    if name not in parameters:
        return f"a call of {name!r}, which is not declared"
    return argument_problem(arguments, parameters[name])
