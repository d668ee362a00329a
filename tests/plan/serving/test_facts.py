"""The planner agrees with what is published of serving K2's family: tests/serving_facts.toml."""

import pytest

from openk2.plan.serving.machine import profiles
from serving_facts import FitFact, OffloadFact, RateFact, SizeFact, gpu_gib, read_facts

FACTS = read_facts()


def named(fact: SizeFact | FitFact | OffloadFact | RateFact) -> str:
    return f"{fact.model}: {fact.what if isinstance(fact, SizeFact) else fact.says}"


@pytest.mark.parametrize("fact", FACTS.size, ids=named)
def test_sizes_are_the_published_ones(fact: SizeFact) -> None:
    assert fact.planned() == pytest.approx(fact.published, rel=fact.within, abs=0)


@pytest.mark.parametrize("fact", [fact for fact in FACTS.fit if fact.fits], ids=named)
def test_a_layout_that_is_reported_to_run_fits(fact: FitFact) -> None:
    assert fact.planned().reasons == ()


@pytest.mark.parametrize("fact", [fact for fact in FACTS.fit if not fact.fits], ids=named)
def test_no_layout_fits_that_a_report_shows_failing(fact: FitFact) -> None:
    plan = fact.planned()
    assert not plan.fits
    assert any(fact.because in reason for reason in plan.reasons), plan.reasons


@pytest.mark.parametrize("fact", [fact for fact in FACTS.fit if fact.tokens], ids=named)
def test_the_cache_holds_the_tokens_that_the_engine_reported(fact: FitFact) -> None:
    assert fact.left()[1] == pytest.approx(fact.tokens, rel=0.03)


@pytest.mark.parametrize("fact", [fact for fact in FACTS.fit if fact.cache_gib], ids=named)
def test_the_margin_covers_the_error_where_memory_is_tight(fact: FitFact) -> None:
    assert fact.cache_gib is not None
    error = fact.left()[0] - fact.cache_gib
    assert abs(error) <= fact.made().engine.margin


@pytest.mark.parametrize("fact", FACTS.offload, ids=named)
def test_experts_in_ram_need_what_users_measured(fact: OffloadFact) -> None:
    plan = fact.planned()
    assert plan.fits == fact.fits, plan.reasons
    if fact.gpu_gib is not None:
        assert gpu_gib(plan) == pytest.approx(fact.gpu_gib, rel=fact.within)
    if fact.ram_gb is not None:
        assert plan.ram / 1e9 == pytest.approx(fact.ram_gb, rel=fact.within)
    if plan.rates is not None:
        for published, planned in ((fact.one, plan.rates.one), (fact.prefill, plan.rates.prefill)):
            assert published is None or within_factor(planned, published)


@pytest.mark.parametrize("fact", FACTS.rate, ids=named)
def test_rates_are_within_the_stated_factor(fact: RateFact) -> None:
    assert within_factor(fact.planned(), fact.published)


def within_factor(planned: float, published: float) -> bool:
    factor = profiles().rates.factor
    return 1 / factor <= planned / published <= factor


def test_every_fact_names_its_source_and_some_reports_are_failures() -> None:
    every = (*FACTS.size, *FACTS.fit, *FACTS.offload, *FACTS.rate)
    assert all(fact.source for fact in every)
    assert sum(not fact.fits for fact in FACTS.fit) >= 8
    assert sum(not fact.fitted for fact in FACTS.rate) >= 3
