"""`verify_endpoint`: all chosen checks against one endpoint."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from rich.progress import Progress

from openk2.generation import UNREADABLE
from openk2.verify.checks import Check
from openk2.verify.outcome import CheckOutcome, CheckResult, Report, skipped
from openk2.verify.wire.endpoint import Endpoint, EndpointFault
from openk2.verify.wire.probe import NotOfferedError, Probe, all_of


async def verify_endpoint(
    probe: Probe, checks: Sequence[Check], progress: Progress | None = None
) -> Report:
    """Run the checks concurrently; the endpoint limits the requests in flight.

    Those that need the endpoint to themselves follow one by one, as it then computes nothing else.

    A request that gets no answer fails the check that sent it and no other.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    bar = None if progress is None else progress.add_task("Checks", total=len(checks))

    async def run(check: Check) -> CheckResult:
        begun = time.monotonic()
        try:
            outcome = await check.run(probe)
        except EndpointFault as fault:
            outcome = CheckOutcome("fail", "-", f"{fault}.", (str(fault),))
        except NotOfferedError as error:
            outcome = skipped(str(error))
        except UNREADABLE as error:
            # What an endpoint sends can be anything; one odd answer must not end the report.
            problem = f"an answer cannot be read: {type(error).__name__}: {str(error)[:160]}"
            outcome = CheckOutcome("fail", "-", f"{problem}.", (problem,))
        if progress is not None and bar is not None:
            progress.advance(bar)
        return CheckResult(check.name, check.title, outcome, time.monotonic() - begun)

    together = [check for check in checks if not check.alone]
    found = dict(zip(together, await all_of(map(run, together)), strict=True))
    found |= {check: await run(check) for check in checks if check.alone}
    return Report(
        url=probe.endpoint.root,
        model=probe.model,
        seed=probe.seed,
        started=started.isoformat(timespec="seconds"),
        version=version("openk2"),
        seconds=time.monotonic() - clock,
        requests=probe.endpoint.sent,
        results=tuple(found[check] for check in checks),
    )


class UnusableEndpointError(RuntimeError):
    """Nothing can be checked: no answer, no access, or no model. One line."""


async def find_model(endpoint: Endpoint, wanted: str | None) -> str:
    """The model to check: `wanted`, or the first that the endpoint lists.

    Raises UnusableEndpointError.
    """
    try:
        listed = await endpoint.get("/models")
    except EndpointFault as fault:
        raise UnusableEndpointError(f"{fault}: is the server running there?") from fault
    if listed.status in (401, 403):
        message = f"{endpoint.root} answered {listed.status}: give its key as --api-key"
        raise UnusableEndpointError(message)
    if wanted is not None:
        return wanted
    try:
        return str(listed.json()["data"][0]["id"])
    except (EndpointFault, IndexError, KeyError, TypeError) as error:
        message = f"{endpoint.root}/models lists no model (status {listed.status}): name one"
        raise UnusableEndpointError(f"{message} with --model") from error
