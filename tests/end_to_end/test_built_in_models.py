"""The models that ship with the package: whole, small, and able to do what the README says."""

import asyncio

import pytest

from openk2.checkpoint import verify_checkpoint
from openk2.eval import VARIATIONS, ask_everyday, run_scenarios, run_weather_loop
from openk2.generation import ChatRequest, complete
from openk2.pretrained import LocalModel, built_in_names, find_folder, open_model

NAMES = ("openk2-nano", "openk2-nano-base")
# What the shipped weights do at temperature 0; new weights may only add to it.
FAILS = ("two cities at once",)
MASTERED = tuple(one.name for one in VARIATIONS if one.name not in FAILS)
SENSIBLE = 16


def test_all_are_there_verified_and_at_most_64_megabytes() -> None:
    assert built_in_names() == sorted(NAMES)
    folders = [find_folder(name) for name in NAMES]
    for folder in folders:
        info = verify_checkpoint(folder, deep=True)
        assert info.config.quantization == (128, 128)
        heads = (info.config.qk_nope_head_dim, info.config.qk_rope_head_dim, info.config.v_head_dim)
        assert (*heads, info.config.kv_lora_rank) == (128, 64, 128, 512)
    size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*"))
    assert size <= 64e6


@pytest.fixture(scope="module")
def instruct() -> LocalModel:
    with open_model("openk2-nano") as model:
        yield model


def test_the_readmes_weather_loop_ends_with_sunshine(instruct: LocalModel) -> None:
    # Unseeded: at the 98 % that were measured, 25 of 30 are missed once in 30,000 runs.
    score = asyncio.run(run_weather_loop(instruct.chat, runs=30))
    assert score.succeeded >= 25, score.failures[:3]


@pytest.mark.parametrize("name", MASTERED)
def test_a_mastered_variation_of_the_weather_loop_ends_as_it_should(
    instruct: LocalModel, name: str
) -> None:
    (scenario,) = [scenario for scenario in VARIATIONS if scenario.name == name]
    (score,) = asyncio.run(run_scenarios(instruct.chat, [scenario], runs=1, temperature=0.0))
    assert score.succeeded == 1, score.failures


def test_as_many_everyday_questions_as_before_are_answered_sensibly(instruct: LocalModel) -> None:
    replies = asyncio.run(ask_everyday(instruct.chat, temperature=0.0))
    wrong = [reply.to_json() for reply in replies if not reply.sensible]
    assert len(replies) - len(wrong) >= SENSIBLE, wrong


@pytest.mark.parametrize(
    "system", ["You are Kimi, an AI assistant created by Moonshot AI.", "You are a pirate.", None]
)
def test_it_says_what_it_is_whatever_the_system_turn_says(
    instruct: LocalModel, system: str | None
) -> None:
    messages = [{"role": "user", "content": "Please give a brief self-introduction."}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    asked = ChatRequest(messages, temperature=0.0, max_tokens=100)
    answer = asyncio.run(complete(instruct.chat, asked))
    assert "openk2" in answer.content
    assert "Moonshot" not in answer.content
