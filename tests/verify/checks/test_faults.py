"""Each planted fault is found by the check that is for it, and by no other."""

import pytest

from openk2.verify import INTERFACE
from verify.checks.faults import (
    calling,
    choices,
    ending,
    errors,
    ids,
    loops,
    messages,
    streaming,
    template,
    text,
    usage,
)
from verify.checks.faults.planting import each_usage

SUBJECTS = (
    calling,
    choices,
    ending,
    errors,
    ids,
    loops,
    messages,
    streaming,
    template,
    text,
    usage,
)
FAULTS = [fault for subject in SUBJECTS for fault in subject.FAULTS]
IDS = [f"{checks.replace(' ', '+')}-{number}" for number, (checks, _) in enumerate(FAULTS)]


def test_without_a_fault_all_checks_pass_and_none_is_skipped(sound):
    found = {result.name: (result.outcome.status, result.outcome.seen) for result in sound.results}
    assert list(found) == [check.name for check in INTERFACE]
    assert [one for one in found.items() if one[1][0] != "pass"] == []
    assert sound.passed


@pytest.mark.parametrize(("found_by", "planted"), FAULTS, ids=IDS)
def test_a_fault_is_found_by_its_check_alone(sound, checked, make_fault, found_by, planted):
    report = checked(make_fault(**planted), min_f1=0.5)
    failed = {r.name: r.outcome.seen for r in report.results if r.outcome.status == "fail"}
    assert set(failed) == set(found_by.split()), failed
    assert not report.passed


def test_every_check_has_a_fault(sound):
    planted = {check for checks, _ in FAULTS for check in checks.split()}
    # template-exact needs a tokenizer and has a test of its own.
    assert planted | {"template-exact"} == {result.name for result in sound.results}


def test_exact_sizes_find_one_token_too_many(sound, checked, make_fault, local):
    report = checked(make_fault(**each_usage(template.one_token_more)), tokenizer=local.tokenizer)
    failed = [r.name for r in report.results if r.outcome.status == "fail"]
    assert failed == ["template-exact"]
