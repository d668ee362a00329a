"""Every text-scored row reads its published format, and scores right and wrong answers as such."""

import asyncio
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessage, ModelOutput, ModelUsage, get_model
from inspect_ai.model._model import init_model_roles
from inspect_ai.scorer import Target
from inspect_ai.solver import TaskState

from openk2.eval.benchmark import Benchmark
from openk2.eval.code.place import use_sandbox
from openk2.record import DataError

sys.path.append(str(Path(__file__).parent))
import published_sets

# Of inspect_ai's own call of tenacity.
pytestmark = pytest.mark.filterwarnings("ignore:The 'initial' parameter:DeprecationWarning")

Answer = Callable[[Sample], str]


def target(sample: Sample) -> str:
    return sample.target if isinstance(sample.target, str) else sample.target[0]


def boxed(sample: Sample) -> str:
    return f"We add. $\\boxed{{{target(sample)}}}$"


def letter(sample: Sample) -> str:
    return f"Let us think. **Answer: {target(sample)}**"


def plain(sample: Sample) -> str:
    return target(sample)


def in_json(sample: Sample) -> str:
    solution = target(sample).replace("cat", "CAT")
    return f'It is clear.\n```json\n{{"reasoning": "x", "solution": {solution}}}\n```'


LIVEBENCH = {
    "math_comp": "CCCCC",
    "AMPS_Hard": "$\\boxed{\\frac{1}{2}x^2}$",
    "spatial": "It is **7**.",
    "typos": "<solution>It is their house.</solution>",
    "cta": "Country Name",
    "tablereformat": '```json\n[{"a": 1.0}]\n```',
    "summarize": "No comma.",
    "LCB_generation": "```python\nprint(sum(map(int, input().split())))\n```",
    "coding_completion": "```python\n    int, input().split())\nprint(a + b)\n```",
}

# task: (rows, right answer)
ROWS: dict[str, tuple[int, Answer]] = {
    "aime2024:AIME_2024": (5, boxed),
    "aime2025:AIME_2025": (5, boxed),
    "math500:MATH_500": (5, boxed),
    "hmmt2025:HMMT_2025": (5, boxed),
    "cnmo2024:CNMO_2024": (5, boxed),
    "polymath:POLYMATH_EN": (20, boxed),
    "math:MATH_BASE": (5, boxed),
    "gsm8k:GSM8K_BASE": (5, lambda sample: f" So.\n#### {target(sample)}"),
    "gpqa:GPQA_DIAMOND": (5, letter),
    "gpqa:GPQA_DIAMOND_BASE": (40, plain),
    "supergpqa:SUPERGPQA": (10, letter),
    "supergpqa:SUPERGPQA_BASE": (5, lambda sample: f" {target(sample)}"),
    "hle:HLE": (5, plain),
    "mmlu:MMLU": (5, letter),
    "mmlu:MMLU_BASE": (5, plain),
    "mmlu_redux:MMLU_REDUX": (5, letter),
    "mmlu_redux:MMLU_REDUX_BASE": (5, plain),
    "mmlu_pro:MMLU_PRO": (5, letter),
    "mmlu_pro:MMLU_PRO_BASE": (5, lambda sample: f" So the answer is ({target(sample)})."),
    "ifeval:IFEVAL": (5, lambda sample: "Without any."),
    "multichallenge:MULTI_CHALLENGE": (5, lambda sample: "You are Ann."),
    "simpleqa:SIMPLEQA": (5, plain),
    "simpleqa:SIMPLEQA_BASE": (5, plain),
    "csimpleqa:CSIMPLEQA_BASE": (5, plain),
    "livebench:LIVEBENCH": (9, lambda sample: LIVEBENCH[(sample.metadata or {})["task"]]),
    "triviaqa:TRIVIAQA_BASE": (5, lambda sample: f" {target(sample).lower()}"),
    "ceval:CEVAL_BASE": (5, plain),
    "zebralogic:ZEBRALOGIC": (5, in_json),
}
WRONG = "It is 77, certainly, or something else"


def grader(messages: list[ChatMessage], *_: Any) -> ModelOutput:
    """Judges by whether the wrong answer is in what it is shown, in every form of verdict."""
    wrong = WRONG in messages[-1].text
    reply = f"correct: {'no' if wrong else 'yes'}\nVerdict: {'NO' if wrong else 'YES'}"
    output = ModelOutput.from_content("m", f"{reply}\n{'INCORRECT' if wrong else 'CORRECT'}")
    output.usage = ModelUsage()  # otherwise inspect counts tokens with a download
    return output


def benchmark(name: str) -> Benchmark:
    module, _, attribute = name.partition(":")
    found = getattr(import_module(f"openk2.eval.tasks.{module}"), attribute)
    assert isinstance(found, Benchmark)
    return found


def written(name: str, data: Path) -> Path:
    """The row's folder below `data`, with made-up files."""
    folder = data / benchmark(name).source.folder
    getattr(published_sets, name.partition(":")[0])(folder)
    return folder


def values(row: Benchmark, samples: list[Sample], answer: Answer) -> list[Any]:
    """The scores of an answer to each sample."""
    init_model_roles({"grader": get_model("mockllm/model", custom_outputs=grader, memoize=False)})
    score = row.scorer()

    async def value(sample: Sample) -> Any:
        text = answer(sample)
        state = TaskState(
            model="mockllm/model",
            sample_id=sample.id or 0,
            epoch=1,
            input=sample.input,
            messages=[],
            target=Target(sample.target),
            metadata=sample.metadata or {},
            output=ModelOutput.from_content("m", text),
        )
        given = await score(state, Target(sample.target))
        assert given is not None
        return given.value

    async def each() -> list[Any]:
        return [await value(sample) for sample in samples]

    return asyncio.run(each())


@pytest.mark.parametrize("name", ROWS)
def test_a_row_reads_its_format_and_scores_right_and_wrong(name: str, tmp_path: Path) -> None:
    row, (count, right) = benchmark(name), ROWS[name]
    if name in ("ifeval:IFEVAL", "livebench:LIVEBENCH"):
        pytest.importorskip("langdetect")
    samples = row.read(written(name, tmp_path))
    assert len(samples) == count
    assert len({sample.id for sample in samples}) == count
    # The programs are the ones above, and a machine may have no other sandbox.
    with use_sandbox("subprocess"):
        assert values(row, samples, right) == [1.0] * count
        assert values(row, samples, lambda _: WRONG) == [0.0] * count
        assert values(row, samples, lambda _: "") == [0.0] * count


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_asked_as_its_protocol_says(name: str, tmp_path: Path) -> None:
    row = benchmark(name)
    samples = row.read(written(name, tmp_path))
    groups = {(sample.metadata or {}).get("group") for sample in samples}
    assert groups <= set(row.protocol.groups) or not row.protocol.groups
    for sample in samples:
        if row.protocol.asks == "options":
            assert sample.choices == [" A", " B", " C", " D"]
            assert target(sample) in "ABCD"
        if row.protocol.asks == "completion":
            assert isinstance(sample.input, str)
            assert (sample.metadata or {})["stop"]
            assert not sample.input.endswith((" ", "\n"))
            assert row.protocol.temperature == 0
    assert not WRONG.startswith(str(samples[0].input)[:20])
    assert row.source.obtain
    assert "\n" not in row.source.obtain


@pytest.mark.parametrize("name", ROWS)
def test_a_broken_file_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    folder = written(name, tmp_path)
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            path.write_bytes(b"no parquet")
        elif path.is_file():
            path.write_text("{\n")
    with pytest.raises(DataError, match=str(tmp_path)):
        benchmark(name).read(folder)


@pytest.mark.parametrize("name", ROWS)
def test_a_missing_file_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file matches|needs MMLU's"):
        benchmark(name).read(tmp_path)


@pytest.mark.parametrize("name", ["mmlu:MMLU_BASE", "mmlu_redux:MMLU_REDUX_BASE"])
def test_shots_show_their_right_letters(name: str, tmp_path: Path) -> None:
    sample = benchmark(name).read(written(name, tmp_path))[0]
    shots = str(sample.input).split("\n\n")[1:-1]
    assert [shot[-1] for shot in shots] == list("ABCDA")
    assert shots[2] == "Which is 2?\nA. 0\nB. 1\nC. 2\nD. 3\nAnswer: C"


def test_one_wrong_cell_fails_a_puzzle(tmp_path: Path) -> None:
    name = "zebralogic:ZEBRALOGIC"
    row, samples = benchmark(name), benchmark(name).read(written(name, tmp_path))
    assert values(row, samples, lambda sample: in_json(sample).replace("dog", "cow")) == [0.0] * 5


def test_a_puzzle_with_its_solution_hidden_says_where_it_is(tmp_path: Path) -> None:
    hidden = {
        "id": "a",
        "puzzle": "b",
        "solution": {"header": ["House", "Pet"], "rows": [["___"] * 2]},
    }
    published_sets.jsonl(tmp_path / "grid_mode.jsonl", [hidden])
    with pytest.raises(DataError, match="ZebraLogicBench-private"):
        benchmark("zebralogic:ZEBRALOGIC").read(tmp_path)


def test_gpqas_options_have_eight_orders_of_which_none_is_the_files(tmp_path: Path) -> None:
    name = "gpqa:GPQA_DIAMOND_BASE"
    samples = benchmark(name).read(written(name, tmp_path))
    letters = {target(sample) for sample in samples}
    assert letters == set("ABCD")
    assert all("m" in str(sample.input) for sample in samples)
    assert all(f"d {n}?" not in str(samples[0].input).split("Answer:")[0] for n in range(5))
