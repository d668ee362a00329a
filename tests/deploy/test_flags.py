from dataclasses import fields

import pytest

from deployed import deployed
from openk2.deploy import ENGINES, DeployError, recorded_flags
from openk2.deploy.words import Shell

NAMES = [engine.id for engine in ENGINES]


@pytest.mark.parametrize("engine", NAMES)
def test_a_table_names_its_version_and_date_and_every_flag_once(engine: str) -> None:
    table = recorded_flags(engine)
    flags = [flag for kind in fields(table.takes) for flag in getattr(table.takes, kind.name)]
    assert len(flags) == len(set(flags))
    assert all(table.knows(flag) for group in table.aliases for flag in group)
    assert all(table.knows(choices.flag) for choices in table.choices)
    assert table.version
    assert table.read > "2026"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-model-length", "9"], "has no flag --max-model-length, did you mean --max-model-"),
        (["--max_model_len", "9"], "has no flag --max_model_len"),
        (["--tool-call-parser", "kimi"], "--tool-call-parser is 'kimi': there are"),
        (["--port"], "--port takes one value, 0 are given"),
        (["--port", "1", "2"], "--port takes one value, 2 are given"),
        (["--enforce-eager", "yes"], "--enforce-eager takes none value, 1 are given"),
        (["k2", "--port", "1"], "'k2' stands where a flag is expected"),
        ([Shell("$HOST")], "stands where a flag is expected"),
    ],
)
def test_what_the_engine_does_not_take_is_refused_by_name(words: list, message: str) -> None:
    with pytest.raises(DeployError, match="vllm") as refused:
        recorded_flags("vllm").check(words)
    assert message in str(refused.value)


def test_values_that_look_like_flags_or_follow_an_equals_sign_are_values() -> None:
    recorded_flags("vllm").check(
        [
            "--seed",
            "-1",
            "--port=80",
            "--served-model-name",
            "a",
            "b",
            "--compilation-config.mode=3",
        ]
    )


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--api-key", "s3cret"), "written into files and process lists: use VLLM_API_KEY"),
        (("--max-model-len", "9"), "--max-model-len follows from the plan"),
        (("--max-model-len=9",), "--max-model-len follows from the plan"),
        (("-tp", "4"), "-tp follows from the plan"),
        (("--no-enable-expert-parallel",), "--no-enable-expert-parallel follows from the plan"),
        (("--frobnicate",), "has no flag --frobnicate"),
    ],
)
def test_a_users_flags_neither_hold_secrets_nor_contradict_the_plan(
    extra: tuple[str, ...], message: str
) -> None:
    from openk2.deploy import NodePlace

    with pytest.raises(DeployError) as refused:
        deployed(layout="DP16 EP16", extra=extra).command(NodePlace())
    assert message in str(refused.value)
    assert "s3cret" not in str(refused.value)
