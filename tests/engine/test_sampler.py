import math
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.engine.request import Request
from openk2.engine.sampler import choose, hopeless_rows, penalize, score, truncate
from openk2.engine.step import prompt_ids
from openk2.protocol import SAMPLING_SETTINGS, SamplingParams, bounds_of

# An even walk over [0, 1): each token is drawn as often as its probability says, give or take one.
GRID = [(i + 0.5) / 4000 for i in range(4000)]


def shares(logits: list[float], **settings: float) -> list[float]:
    """How often each token is chosen over the grid."""
    params = SamplingParams(max_tokens=1, **settings)  # type: ignore[arg-type]
    rows = torch.tensor([logits]).expand(len(GRID), -1)
    chosen = choose(rows, [params] * len(GRID), GRID)
    return [chosen.count(token) / len(GRID) for token in range(len(logits))]


def softmax(logits: list[float]) -> list[float]:
    total = sum(map(math.exp, logits))
    return [math.exp(logit) / total for logit in logits]


LOGITS = [0.3, -1.2, 2.0, 1.1, -0.4, 1.6]


@pytest.mark.parametrize("temperature", [0.25, 0.6, 1.0, 2.0])
def test_tokens_come_as_often_as_the_tempered_softmax_says(temperature: float) -> None:
    expected = softmax([logit / temperature for logit in LOGITS])
    assert shares(LOGITS, temperature=temperature) == pytest.approx(expected, abs=1 / 2000)


def test_top_k_leaves_k_tokens_in_their_proportions() -> None:
    expected = softmax([logit if logit > 1 else -math.inf for logit in LOGITS])
    assert shares(LOGITS, temperature=1.0, top_k=3) == pytest.approx(expected, abs=1 / 2000)


def test_top_p_leaves_the_smallest_set_that_reaches_it() -> None:
    probabilities = softmax(LOGITS)  # sorted: 0.42, 0.28, 0.17, ...: two reach 0.6
    kept = sorted(probabilities, reverse=True)[:2]
    expected = [p / sum(kept) if p in kept else 0.0 for p in probabilities]
    assert shares(LOGITS, temperature=1.0, top_p=0.6) == pytest.approx(expected, abs=1 / 2000)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.floats(0.05, 6.0),
    st.sampled_from([0, 1, 7, 128, 129, 300, 399, 5000]),
    st.floats(0.01, 1.0),
)
def test_what_is_kept_is_what_a_plain_loop_over_sorted_tokens_keeps(
    seed: int, spread: float, top_k: int, top_p: float
) -> None:
    """On both sides of the number of tokens that are ranked first."""
    logits = torch.randn(3, 400, generator=torch.Generator().manual_seed(seed)) * spread
    probabilities = logits.double().softmax(-1)
    params = SamplingParams(max_tokens=1, top_k=top_k, top_p=top_p)
    for row, kept in zip(probabilities, truncate(probabilities, [params] * 3), strict=True):
        ranked = sorted(range(400), key=lambda i: -row[i])[: top_k or 400]
        total, reached, expected = sum(row[i].item() for i in ranked), 0.0, set[int]()
        for i in ranked:
            if reached < top_p * total or top_p == 1:
                expected.add(i)
            reached += row[i].item()
        # Rounding may put the bound on either side of the last token.
        assert len(expected ^ set(kept.nonzero().flatten().tolist())) <= 1


@pytest.mark.parametrize("settings", [{"temperature": 1e-46}, {"top_p": 1e-46}, {"top_p": 1e-40}])
def test_settings_too_small_for_float32_leave_the_likeliest_token(
    settings: dict[str, float],
) -> None:
    assert shares(LOGITS, **{"temperature": 1.0, **settings})[2] == 1.0


def test_top_p_is_a_share_of_what_top_k_leaves() -> None:
    # Of the two likeliest tokens (0.6 and 0.4 of their sum) half is reached by the first alone.
    logits = [math.log(p) for p in (0.3, 0.2, 0.25 * 0.5, 0.25 * 0.5, 0.25)]
    assert shares(logits, temperature=1.0, top_k=2, top_p=0.5)[0] == 1.0


@pytest.mark.parametrize("k", [1, 2, 3])
def test_equally_likely_tokens_are_cut_to_exactly_k(k: int) -> None:
    got = shares([1.0] * 500, temperature=1.0, top_k=k)
    assert sorted(share for share in got if share) == pytest.approx([1 / k] * k, abs=1 / 2000)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.1, 2.0))
def test_top_k_of_one_is_greedy(seed: int, temperature: float) -> None:
    logits = torch.randn(4, 30, generator=torch.Generator().manual_seed(seed))
    one = SamplingParams(max_tokens=1, temperature=temperature, top_k=1)
    draws = [Random(seed).random() for _ in range(4)]
    assert choose(logits, [one] * 4, draws) == logits.argmax(-1).tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_a_row_is_sampled_alike_whatever_the_other_rows_ask(seed: int, data: st.DataObject) -> None:
    setting = st.builds(
        SamplingParams,
        max_tokens=st.just(1),
        temperature=st.sampled_from([0.0, 0.6, 1.0]),
        top_p=st.sampled_from([0.5, 0.95, 1.0]),
        top_k=st.sampled_from([0, 1, 5]),
    )
    params = data.draw(st.lists(setting, min_size=1, max_size=6))
    random = Random(seed)
    draws = [random.random() for _ in params]
    logits = torch.randn(len(params), 40, generator=torch.Generator().manual_seed(seed))
    together = choose(logits, params, draws)
    alone = [choose(logits[i : i + 1], [params[i]], [draws[i]])[0] for i in range(len(params))]
    assert together == alone


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
@pytest.mark.parametrize("settings", [{"top_k": 3}, {"top_p": 0.5}])
def test_the_ends_of_the_unit_interval_choose_tokens_that_are_kept(
    uniform: float, settings: dict[str, float]
) -> None:
    logits = torch.randn(64, 500, generator=torch.Generator().manual_seed(0)) * 3
    params = SamplingParams(max_tokens=1, temperature=1.0, **settings)  # type: ignore[arg-type]
    chosen = choose(logits, [params] * 64, [uniform] * 64)
    likeliest = logits.topk(250).indices.tolist()
    assert all(token in row for token, row in zip(chosen, likeliest, strict=True))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_rows_that_are_no_numbers_are_found(value: float) -> None:
    logits = torch.full((3, 5), 1.0)
    logits[1] = value
    logits[2, 3] = -math.inf
    assert hopeless_rows(logits) == [1]


EXTREMES = [
    (name, value)
    for name in SAMPLING_SETTINGS
    if (bounds := bounds_of(name)) is not None
    for value in (bounds.least, bounds.most, 1e-300 if bounds.above is not None else None)
    if value is not None
]


@pytest.mark.parametrize(("name", "value"), EXTREMES)
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e4, 1e30])
def test_no_allowed_value_makes_infinity_of_finite_logits(
    name: str, value: float, size: float
) -> None:
    logits = torch.tensor([-size, size, 0.5 * size, 0.0, -0.0])
    given = {"temperature": 2.0, name: value}
    params = SamplingParams(max_tokens=1, **given, logit_bias={0: 100.0, 1: -100.0})
    penalized = penalize(logits, params, torch.arange(5), dict.fromkeys(range(5), 10**6))
    assert penalized.isfinite().all()
    assert not hopeless_rows(penalized[None])
    [token] = choose(penalized[None], [params], [0.999])
    assert 0 <= token < 5


NEIGHBOURS = [1e-40, 1e-38, 5e-324, -1e-9, 1e39, 10**400, -(10**400), 2.1, math.nan, math.inf]


@pytest.mark.parametrize("value", NEIGHBOURS)
def test_a_number_out_of_bounds_is_refused_by_name(value: float) -> None:
    for name in ("repetition_penalty", "presence_penalty", "frequency_penalty", "temperature",
                 "min_p", "top_p", "top_k", "seed"):  # fmt: skip
        bounds = bounds_of(name)
        assert bounds is not None
        counts = name in ("top_k", "seed")
        if bounds.allow(value) and not (counts and isinstance(value, float)):
            SamplingParams(max_tokens=1, **{name: value})
            continue
        with pytest.raises(ValueError, match=f"^{name} is .{{1,50}}: it must be"):
            SamplingParams(max_tokens=1, **{name: value})
    if not abs(value) <= 100:
        with pytest.raises(ValueError, match="logit_bias of id 3 is"):
            SamplingParams(max_tokens=1, logit_bias={3: value})


def test_min_p_leaves_what_is_near_enough_to_the_likeliest() -> None:
    probabilities = softmax(LOGITS)
    kept = [p if p >= 0.3 * max(probabilities) else 0.0 for p in probabilities]
    expected = [p / sum(kept) for p in kept]
    assert shares(LOGITS, temperature=1.0, min_p=0.3) == pytest.approx(expected, abs=1 / 2000)
    assert shares(LOGITS, temperature=1.0, min_p=1.0)[2] == 1


def test_top_p_is_a_share_of_what_min_p_leaves() -> None:
    # 0.42, 0.28, 0.17 pass min_p 0.3 and have 0.87 together; 0.75 of that takes two.
    chosen = shares(LOGITS, temperature=1.0, min_p=0.3, top_p=0.75)
    assert [share > 0 for share in chosen] == [False, False, True, False, False, True]


def test_penalties_and_bias_are_what_their_formulas_say() -> None:
    row = torch.tensor([2.0, -2.0, 1.0, 0.5])
    settings = {"presence_penalty": 0.5, "frequency_penalty": 0.25, "repetition_penalty": 2.0}
    params = SamplingParams(max_tokens=1, logit_bias={3: -1.0}, **settings)  # type: ignore[arg-type]
    got = penalize(row, params, prompt=torch.tensor([1]), output={0: 3})
    assert got.tolist() == [2.0 / 2 - 0.5 - 0.75, -2.0 * 2, 1.0, 0.5 - 1.0]
    assert row.tolist() == [2.0, -2.0, 1.0, 0.5]


def test_a_prompts_ids_are_collected_once_and_for_the_repetition_penalty_alone() -> None:
    """Of a long prompt that costs milliseconds, which no step may pay for each of its rows."""
    prompt, cpu = (5, 2, 5, 0), torch.device("cpu")
    plain = Request(prompt, SamplingParams(max_tokens=1, presence_penalty=0.5))
    assert prompt_ids(plain, cpu).tolist() == []
    penal = Request(prompt, SamplingParams(max_tokens=1, repetition_penalty=1.5))
    first = prompt_ids(penal, cpu)
    penal.append(3)
    assert prompt_ids(penal, cpu) is first
    assert first.tolist() == [0, 2, 5]


STRONG = {
    "temperature": 1.5,
    "top_p": 0.5,
    "top_k": 2,
    "min_p": 0.5,
    "presence_penalty": 2.0,
    "frequency_penalty": 2.0,
    "repetition_penalty": 2.0,
    "logit_bias": {1: 4.0},
}


@pytest.mark.parametrize("name", [name for name in SAMPLING_SETTINGS if name != "seed"])
def test_every_setting_of_sampling_changes_what_is_chosen(name: str) -> None:
    """A setting that is declared but read nowhere would be accepted and ignored."""

    def chosen(**settings: object) -> list[int]:
        params = SamplingParams(max_tokens=1, **settings)  # type: ignore[arg-type]
        row = penalize(torch.tensor(LOGITS), params, prompt=torch.tensor([3]), output={2: 2})
        return choose(row.expand(len(GRID), -1), [params] * len(GRID), GRID)

    assert chosen(**{name: STRONG[name]}) != chosen()


def test_a_row_without_penalties_is_left_bit_equal() -> None:
    row = torch.randn(7)
    assert penalize(row, SamplingParams(max_tokens=1), torch.tensor([1, 2]), {3: 4}) is row


def test_scores_are_log_softmax_and_the_likeliest_come_first() -> None:
    logits = torch.tensor([LOGITS, LOGITS[::-1]])
    first, second = score(logits, [0, 0], top=2)
    expected = [math.log(p) for p in softmax(LOGITS)]
    assert first.logprob == pytest.approx(expected[0], abs=1e-6)
    assert second.logprob == pytest.approx(expected[5], abs=1e-6)
    assert [token for token, _ in first.top] == [2, 5]
    assert score(logits, [1, 1], top=0)[0].top == ()
