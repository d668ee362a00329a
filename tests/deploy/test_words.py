import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.deploy import DeployError, shell_command
from openk2.deploy.words import Shell, dns_label, plain_text, quoted


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
def test_a_shell_reads_back_every_text_that_it_is_given(words: list[str]) -> None:
    command = shell_command(["printf", "%s\\0", *words])
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == words


def test_expressions_of_ours_are_evaluated_and_texts_of_users_are_not() -> None:
    words = ["printf", "%s,", Shell("${HEAD_ADDRESS}:1"), "${HEAD_ADDRESS}", Shell("$((2 * 8))")]
    done = subprocess.run(
        ["bash", "-c", f"HEAD_ADDRESS='a b'; {shell_command(words)}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "a b:1,${HEAD_ADDRESS},16,"


def test_a_command_has_a_line_for_every_flag_with_its_values() -> None:
    assert shell_command(["vllm", "serve", "a b", "--port", "1", "--headless"]) == (
        "vllm serve 'a b' \\\n  --port 1 \\\n  --headless"
    )


@pytest.mark.parametrize("text", ["", "a\nb", "a\0b", "\x1b[2J", "--host", "-x"])
def test_texts_that_no_quoting_saves_are_refused(text: str) -> None:
    with pytest.raises(DeployError, match="--name is"):
        plain_text("--name", text)


@given(st.text())
def test_a_label_is_one_wherever_a_label_is_demanded(text: str) -> None:
    label = dns_label(text)
    assert len(label) + len("-gateway") < 63
    assert label == label.strip("-")
    assert label[0].isalpha()
    assert set(label) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert shlex.quote(label) == quoted(label) == label
