"""The protocol's settings reach the request, and which questions are drawn is stable and fair."""

from collections import Counter

import pytest
from inspect_ai.dataset import Sample

from openk2.eval.asking import sample_seed
from openk2.eval.benchmark import Protocol
from openk2.eval.inspect_task import Asking, drawn, generate_config
from openk2.record import DataError


def questions(count: int, groups: int = 0) -> list[Sample]:
    return [
        Sample(id=f"q{n}", input=str(n), metadata={"group": n % groups} if groups else {})
        for n in range(count)
    ]


def test_a_larger_limit_and_a_larger_file_keep_what_was_drawn() -> None:
    some = [sample.id for sample in drawn(questions(50), 10, 1)]
    more = [sample.id for sample in drawn(questions(50), 20, 1)]
    assert more[:10] == some
    assert [sample.id for sample in drawn(questions(50)[::-1], 10, 1)] == some
    grown = [sample.id for sample in drawn(questions(60), None, 1)]
    assert [name for name in grown if int(str(name)[1:]) < 50][:20] == more
    assert [sample.id for sample in drawn(questions(50), 10, 2)] != some


def test_groups_get_equal_parts_of_a_limit() -> None:
    """Ninety questions of one group and ten of another: a weighted figure needs both."""
    uneven = [
        Sample(id=f"q{n}", input=str(n), metadata={"group": "rare" if n % 10 == 0 else "common"})
        for n in range(100)
    ]
    groups = Counter((sample.metadata or {})["group"] for sample in drawn(uneven, 12, 0))
    assert groups == {"rare": 6, "common": 6}


def test_ids_that_name_no_answer_are_an_error() -> None:
    with pytest.raises(DataError, match="sample id q0 is not unique"):
        drawn([*questions(3), *questions(1)], None, 0)
    with pytest.raises(DataError, match="None is not unique"):
        drawn([Sample(input="x")], None, 0)


def test_no_two_answers_share_a_seed() -> None:
    seeds = [sample_seed(0, f"q{n}", epoch) for n in range(200) for epoch in range(1, 65)]
    assert len(set(seeds)) >= len(seeds) - 2
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize(
    ("asks", "context", "cap", "expected"),
    [
        ("chat", None, 8192, 8192),
        ("chat", 131072, 8192, 8192),
        ("chat", 4096, 8192, None),
        ("chat", 4096, 100, 100),
        ("completion", 4096, 8192, 1024),
        ("completion", 4096, 512, 512),
    ],
)
def test_the_cap_leaves_the_prompt_its_place(
    asks: str, context: int | None, cap: int, expected: int | None
) -> None:
    protocol = Protocol("Acc", asks=asks, max_tokens=cap)  # type: ignore[arg-type]
    assert generate_config(protocol, Asking(context=context)).max_tokens == expected


def test_a_run_asks_for_fewer_answers_and_tokens_but_never_for_more() -> None:
    many, one = Protocol("Avg@64", samples=64), Protocol("Acc", max_tokens=30)
    asking = Asking(samples=4, max_tokens=50)
    assert (asking.answers(many), asking.answers(one)) == (4, 1)
    assert generate_config(many, asking).max_tokens == 50
    assert generate_config(one, asking).max_tokens == 30
