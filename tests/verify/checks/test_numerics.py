"""What the numerical checks find in a real server, and what they let pass."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import torch

from openk2.engine import Engine
from openk2.generation import PromptCoder, RawCompletion, RenderedChat
from openk2.model import K2Model
from openk2.server import create_app
from openk2.verify import NUMERICS, CheckOutcome, Endpoint, Probe, Report, verify_endpoint
from verify.checks import numeric_faults as faults
from verify.checks.numeric_server import (
    CONTEXT,
    NAME,
    Served,
    config_for,
    copying_model,
    trained_tokenizer,
)

# Which checks a seed runs: with all of them twenty seeds would take a minute.
CHEAP = (
    {"batch"},
    {"prefill-decode", "logprob-range"},
    {"depth", "long-context"},
    {"reference"},
    {"repeatable"},
)
# Our engine is batch-invariant and reports float32, so that it may be held to this.
OURS = 0.02


@dataclass(frozen=True)
class Copier:
    """The model in two copies: faults are planted in one, the other is the reference."""

    tokenizer: Any
    model: K2Model
    reference: str


@pytest.fixture(scope="module")
def copier(run_app) -> Iterator[Copier]:
    tokenizer = trained_tokenizer()
    config = config_for(tokenizer)
    right = Served(tokenizer, copying_model(config))
    with run_app(right.app()) as reference:
        yield Copier(tokenizer, copying_model(replace(config)), reference)
    right.close()


@pytest.fixture
def report(copier, run_app):
    """The report on the server with a fault, of the checks that are named."""

    def make(fault, names, *, reference=False, seed=0, **options) -> Report:
        served = Served(copier.tokenizer, copier.model)
        checks = [check for check in NUMERICS if check.name in names]
        options = {"seed": seed, "context": CONTEXT, "tolerance": OURS, **options}

        async def run(url: str) -> Report:
            async with reached(url) as endpoint, reached(copier.reference) as other:
                right = Probe(other, NAME, **options) if reference else None
                probe = Probe(endpoint, NAME, reference=right, **options)
                return await verify_endpoint(probe, checks)

        try:
            with fault(served), run_app(served.app()) as url:
                return asyncio.run(run(url))
        finally:
            served.close()

    return make


def reached(url: str) -> Endpoint:
    """Without the certificates of the web, which take longer to read than a check to run."""
    return Endpoint(url, transport=httpx.AsyncHTTPTransport(verify=False))


def failed(report: Report) -> dict[str, str]:
    return {one.name: one.outcome.seen for one in report.results if one.outcome.status == "fail"}


@pytest.mark.parametrize("fault", faults.ALONE, ids=lambda fault: fault.__name__)
def test_a_fault_is_found_without_a_reference(report, fault, caplog):
    caplog.set_level(logging.CRITICAL)
    found_by, says, silent = faults.ALONE[fault]
    found = failed(report(fault, {*found_by, *silent}))
    assert set(found) == found_by
    assert any(says in seen for seen in found.values()), found


@pytest.mark.parametrize("fault", faults.WITH_A_REFERENCE, ids=lambda fault: fault.__name__)
def test_a_fault_of_every_request_is_found_with_a_reference_only(report, fault):
    found = report(fault, {"reference", "batch", "prefill-decode"}, reference=True)
    assert set(failed(found)) == {"reference"}
    assert faults.WITH_A_REFERENCE[fault] in failed(found)["reference"]


def test_without_a_reference_the_report_says_what_was_not_looked_for(report):
    [result] = report(faults.expert_lost, {"reference"}).results
    assert result.outcome.status == "skip"
    assert "an expert that is always missing" in result.outcome.seen


def test_a_sound_server_passes(report):
    results = report(faults.nothing, {check.name for check in NUMERICS}, reference=True).results
    found = {one.name: one.outcome.status for one in results}
    assert found == {check.name: "pass" for check in NUMERICS}


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 20))]
)
def test_the_rounding_of_bfloat16_is_no_fault(report, seed):
    """Logits in bfloat16 after noise that no two batches share, at the default tolerance."""
    names = CHEAP[seed % len(CHEAP)]
    noisy = faults.noise_of_bfloat16(torch.Generator().manual_seed(seed))
    found = report(noisy, names, reference=True, seed=seed, tolerance=0.1)
    assert failed(found) == {}
    assert {one.outcome.status for one in found.results} == {"pass"}


def test_an_ignored_factor_shows_in_a_trained_model_without_a_reference(local, run_app):
    """openk2-nano, and its rope as if it had been interpolated and that were forgotten."""
    engine = Engine(
        local.engine._model, pages=64, page_size=16, max_batch=4, context_length=CONTEXT
    )
    completion = RawCompletion(local.tokenizer, engine, local.tokenizer.stop_ids)
    chat = RenderedChat(local.tokenizer, engine, local.tokenizer.stop_ids)
    app = create_app(
        chat, model=NAME, completion=completion, coder=PromptCoder(local.tokenizer, CONTEXT)
    )
    [depth] = [check for check in NUMERICS if check.name == "depth"]

    async def run(url: str, seed: int) -> CheckOutcome:
        async with reached(url) as endpoint:
            [found] = (await verify_endpoint(Probe(endpoint, NAME, seed), [depth])).results
            return found.outcome

    engine.start()
    try:
        with run_app(app) as url:
            for seed in range(2):
                assert asyncio.run(run(url, seed)).status == "pass"
            served = SimpleNamespace(model=local.engine._model)
            with faults.slow_pairs_not_interpolated_when_long(served):
                found = asyncio.run(run(url, 0))
    finally:
        engine.stop()
    assert found.status == "fail", found
    assert "Wrong rope scaling" in found.seen
