"""Figures weigh groups, intervals count questions, and differences are paired."""

from random import Random

import pytest

from openk2.eval.figure import figure_of, flip_p, paired_difference


def test_a_plain_row_is_the_mean_of_its_questions() -> None:
    figure = figure_of({"a": {"": 1.0}, "b": {"": 0.25}}, {}, 8)
    assert figure is not None
    assert figure.value == 0.625
    assert figure.low < 0.625 < figure.high


def test_groups_weigh_as_the_protocol_says_and_not_by_their_size() -> None:
    questions = {f"easy{n}": {"easy": 1.0} for n in range(9)} | {"hard": {"hard": 0.0}}
    figure = figure_of(questions, {"easy": 1, "hard": 3}, 10)
    assert figure is not None
    assert figure.value == 0.25
    assert figure.groups == {"easy": 1.0, "hard": 0.0}
    assert figure_of(questions, {"easy": 1, "other": 1}, 10) is None


def test_a_question_in_two_groups_counts_in_both() -> None:
    """EvalPlus: the plain tests and the plus tests of one problem."""
    figure = figure_of({"a": {"plain": 1.0, "plus": 0.0}}, {"plain": 1, "plus": 1}, 1)
    assert figure is not None
    assert figure.value == 0.5


@pytest.mark.parametrize("agree", [False, True])
def test_the_interval_covers_the_truth_of_new_questions(agree: bool) -> None:
    """Each question has a difficulty of its own, so that its k answers are no k trials."""
    rng = Random(3)
    covered = 0
    for _ in range(400):
        questions = {}
        for n in range(40):
            chance = rng.choice([0.1, 0.9]) if agree else 0.5
            answers = [rng.random() < chance for _ in range(8)]
            questions[str(n)] = {"": sum(answers) / 8}
        figure = figure_of(questions, {}, 320)
        assert figure is not None
        covered += figure.low <= 0.5 <= figure.high
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize(
    ("sizes", "weights"),
    [((12, 5, 3), (1, 1, 1)), ((17, 2, 1), (1, 1, 1)), ((7, 7, 6), (0.578, 0.2676, 0.1545))],
)
def test_the_interval_covers_the_truth_of_twenty_questions_in_unequal_groups(
    sizes: tuple[int, ...], weights: tuple[float, ...]
) -> None:
    rng, covered = Random(4), 0
    chances = (0.8, 0.6, 0.4)
    truth = sum(w * p for w, p in zip(weights, chances, strict=True)) / sum(weights)
    for _ in range(400):
        questions = {
            f"{group}/{n}": {str(group): float(rng.random() < chances[group])}
            for group, size in enumerate(sizes)
            for n in range(size)
        }
        figure = figure_of(questions, {str(g): w for g, w in enumerate(weights)}, len(questions))
        assert figure is not None
        covered += figure.low <= truth <= figure.high
    assert covered / 400 >= 0.93


def test_a_heavy_group_of_one_right_question_is_not_certain() -> None:
    questions = {f"easy{n}": {"easy": 1.0} for n in range(19)} | {"hard": {"hard": 1.0}}
    figure = figure_of(questions, {"easy": 1, "hard": 3}, 20)
    assert figure is not None
    assert (figure.value, figure.high) == (1, 1)
    assert figure.low < 0.4


def test_all_right_and_all_wrong_have_intervals_that_are_not_points() -> None:
    figure = figure_of({str(n): {"": 1.0} for n in range(20)}, {}, 1280)
    assert figure is not None
    assert figure.high == 1
    assert 0.8 < figure.low < 0.9


def test_the_sign_flip_test_is_exact_for_few_questions() -> None:
    assert flip_p([1.0] * 5) == 2 / 32
    assert flip_p([1.0, -1.0]) == 1.0
    assert flip_p([0.0, 0.0]) == 1.0


def test_random_flips_agree_with_the_exact_test() -> None:
    """Fifteen equal differences with two against: the binomial sign test."""
    expected = 2 * (1 + 15 + 15 * 14 / 2) / 2**15
    assert flip_p([0.1] * 13 + [-0.1] * 2) == pytest.approx(expected, abs=0.002)


def test_a_difference_is_of_the_questions_of_both_runs() -> None:
    first = {"a": {"": 0.0}, "b": {"": 1.0}, "only first": {"": 1.0}}
    second = {"a": {"": 1.0}, "b": {"": 1.0}, "only second": {"": 0.0}}
    found = paired_difference(first, second, {})
    assert found is not None
    assert (found.value, found.questions, found.better, found.worse) == (0.5, 2, 1, 0)
    assert paired_difference(first, {"z": {"": 1.0}}, {}) is None


def test_pairs_that_agree_have_a_narrower_interval_than_pairs_that_do_not() -> None:
    rng = Random(1)
    first = {str(n): {"": float(rng.random() < 0.5)} for n in range(200)}
    alike = {name: {"": min(1.0, q[""] + (int(name) < 10))} for name, q in first.items()}
    mixed = {name: {"": float(rng.random() < 0.5)} for name in first}
    near, far = paired_difference(first, alike, {}), paired_difference(first, mixed, {})
    assert near is not None
    assert far is not None
    assert near.high - near.low < (far.high - far.low) / 2
