"""The two vocabularies: complete in themselves, and apart from each other."""

import re

import pytest

from openk2.synthesis import generate
from openk2.synthesis.tools import Task, Vocabulary
from openk2.synthesis.vocabulary_held_out import HELD_OUT
from openk2.synthesis.vocabulary_train import TRAIN

BOTH = pytest.mark.parametrize("vocabulary", [TRAIN, HELD_OUT], ids=["train", "held_out"])


def tasks(vocabulary: Vocabulary) -> list[Task]:
    return [task for domain in vocabulary.domains.values() for task in domain]


def verbs(vocabulary: Vocabulary) -> set[str]:
    acts = {task.verb for task in tasks(vocabulary) if task.verb}
    return acts | set(vocabulary.ask_verbs) | set(vocabulary.search_verbs)


def parameter_names(vocabulary: Vocabulary) -> set[str]:
    return {name.split("=")[0] for kind in vocabulary.kinds.values() for name in kind.names}


@BOTH
def test_every_task_names_kinds_that_exist(vocabulary: Vocabulary) -> None:
    for task in tasks(vocabulary):
        assert set(task.needs) | set(task.may) <= vocabulary.kinds.keys(), task.noun
        assert task.gives, task.noun
        assert bool(task.verb) == bool(task.done) == (task.mode == "do"), task.noun


@BOTH
def test_natural_requests_state_every_required_kind(vocabulary: Vocabulary) -> None:
    for task in tasks(vocabulary):
        for text in task.natural:
            assert set(re.findall(r"{(\w+)}", text)) == set(task.needs), text


@BOTH
def test_kinds_say_both_sides_of_a_switch_and_one_value_otherwise(vocabulary: Vocabulary) -> None:
    for key, kind in vocabulary.kinds.items():
        if kind.type == "boolean":
            assert len(kind.said) == 2, key
        else:
            assert all(said.count("{}") == 1 for said in kind.said), key


def test_the_splits_share_no_domain_task_verb_or_parameter_name() -> None:
    assert TRAIN.domains.keys().isdisjoint(HELD_OUT.domains)
    assert verbs(TRAIN).isdisjoint(verbs(HELD_OUT))
    assert parameter_names(TRAIN).isdisjoint(parameter_names(HELD_OUT))
    nouns = {task.noun for task in tasks(TRAIN)}
    assert nouns.isdisjoint(task.noun for task in tasks(HELD_OUT))


def test_no_training_tool_is_named_with_a_held_out_verb() -> None:
    words = set()
    for conversation in generate(7, 1500, "train"):
        for tool in conversation["tools"]:
            name = re.sub(r"([A-Z])", r"_\1", tool["function"]["name"]).lower()
            words |= set(re.split(r"[_.\-]+", name))
    assert words.isdisjoint(verbs(HELD_OUT))
