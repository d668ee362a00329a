"""Code out of answers: the block that is the answer, not the examples around it."""

import pytest

from openk2.eval.code.extraction import code_blocks, cut_at, extract_code

F = "def f(x):\n    return x"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (f"```python\n{F}\n```", F),
        (f"Sure!\n\n```py\n{F}\n```\nThat is all.", F),
        (f"```Python3 title=a\n{F}\n```", F),
        (f"```\n{F}\n```", F),
        (f"~~~python\n{F}\n~~~", F),
        (f"````python\n{F}\n# ``` inside\n```\n````", f"{F}\n# ``` inside\n```"),
        (f"  ```python\n{F}\n  ```", F),
        (f"```python\n{F}", F),  # the output cap cut it
        (F, F),
        (f"```text\n3\n```\n```python\n{F}\n```\n```text\n4\n```", F),
        (f"```python\ndef f(x): return 1\n```\nBetter:\n```python\n{F}\n```", F),
        (f"```python\n{F}\n```\nUse it:\n```python\nprint(g(3))\n```", F),
        (f"```js\nf()\n```\n```\n{F}\n```", F),
        (f"Run `f` so: ```x```\n```python\n{F}\n```", F),
        ("```python\n```", ""),
        ("", ""),
    ],
)
def test_the_answers_code_is_found(answer: str, code: str) -> None:
    assert extract_code(answer, "python", defines="f") == code


def test_a_language_is_known_by_all_its_names() -> None:
    answer = "```python\n1\n```\n```c++\n2\n```\n```sh\n3\n```\n```c#\n4\n```"
    found = [extract_code(answer, name) for name in ("python", "cpp", "bash", "csharp")]
    assert found == ["1", "2", "3", "4"]


def test_an_info_string_in_a_block_does_not_end_it() -> None:
    assert code_blocks("```md\n```python\n1\n```") == [("md", "```python\n1")]


def test_a_completion_is_cut_at_the_first_stop() -> None:
    assert cut_at("a\ndef b\nclass", ("\nclass", "\ndef ")) == "a"
    assert cut_at("abc", ("x",)) == "abc"
