"""AutoLogi from its published format: made-up puzzles, checked by their own programs."""

import json
from pathlib import Path

import pytest

from code_answers import judged, scorer_of
from openk2.eval.tasks.autologi import AUTOLOGI, arrangement

CHECK = """def inputs_check(inputs):
    return isinstance(inputs, dict) and sorted(inputs) == ["a", "b"] and all(
        isinstance(seat, int) for seat in inputs.values())
"""
CONSTRAINTS = """def first(inputs):
    return inputs["a"] < inputs["b"]
def second(inputs):
    return inputs["a"] + inputs["b"] == 3
constraint_list = [first, second]
"""
RIGHT = [
    '```python\n{"a": 1, "b": 2}\n```',
    'First ```{"a": 2, "b": 1}``` no.\n```json\n{"a": 1, "b": 2}\n```',
    "The answer is {'a': 1, 'b': 2}.",
    "{'a': 9, 'b': 9} is wrong, so {'a': 1, 'b': 2}",
    "```python\ninputs = {'a': 1, 'b': 2}\n```",
    "```\n{\n  'a': 1,  // a sits first\n  'b': 2,  # then b\n}\n```",
]
WRONG = [
    '```python\n{"a": 2, "b": 1}\n```',
    '```python\n{"a": 1, "b": 3}\n```',
    '```python\n{"a": "1", "b": "2"}\n```',
    "```python\n[1, 2]\n```",
    "no braces here",
    "",
    "```python\n__import__('os')._exit(0)\n```",
    "```python\nprint('True')\n```",
    "```python\n" + "[" * 5000 + "]" * 5000 + "\n```",
    "{" * 3000,
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for group in ("en", "cn"):
        rows = [
            {
                "idx": number,
                "prompt": f"Puzzle {number}.",
                "code": {
                    "Inputs_Check_code": CHECK,
                    "Constraint_List_code": CONSTRAINTS,
                    "Traverse_code": "",
                },
                "lang": group,
            }
            for number in range(3)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"AutoLogi_{group}.jsonl").write_text(text)
    return tmp_path


def test_the_puzzles_programs_decide(folder: Path) -> None:
    samples = AUTOLOGI.read(folder)
    assert len({sample.id for sample in samples}) == 6
    assert {sample.metadata["group"] for sample in samples if sample.metadata} == {"en", "cn"}
    scorer = scorer_of(AUTOLOGI)
    for answer in RIGHT:
        score = judged(scorer, samples[0], answer)
        assert score.value == 1, (answer, score.explanation)
    for answer in WRONG:
        assert judged(scorer, samples[0], answer).value == 0, answer


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("```\n{'a': true, 'b': [null, False]}\n```", {"a": True, "b": [None, False]}),
        ('```json\n{"a": "it\'s true // no"}\n```', {"a": "it's true // no"}),
        ("x [1] y [[1, 2], (3, 4)] z", [[1, 2], (3, 4)]),
        ("```\narrangement = ['a=b']\n```", ["a=b"]),
    ],
)
def test_an_arrangement_is_read_as_a_value(answer: str, value: object) -> None:
    assert arrangement(answer) == value
