"""MultiPL-E from its published files: reference solutions pass, mutants fail, in every language."""

import math
import os
import random
from pathlib import Path

import pytest
from inspect_ai.dataset import Sample

from code_answers import judged, scorer_of
from code_references import REFERENCES, made_up_files, python_mutants
from openk2.eval.tasks.multipl_e import GROUPS, MULTIPL_E
from record_files import parquet

REPOSITORY = Path(__file__).parents[3]
SHARED = Path(os.environ.get("OPENK2_SHARED", REPOSITORY.parent / "shared"))
DATA = SHARED / "data/benchmarks/multipl-e"
SEED = 14
# Of each language, by what its compiler takes; benchmarks/code_scorers.py judges all.
PROBLEMS = {
    "cpp": 1, "csharp": 1, "java": 1, "typescript": 1,
    "javascript": 4, "bash": 4, "php": 4, "python": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    """The published files where they lie here, and problems of our own in two more languages."""
    folder = tmp_path_factory.mktemp("multipl-e")
    if DATA.is_dir():
        for path in DATA.glob("humaneval-*.jsonl"):
            (folder / path.name).symlink_to(path)
    for name, text in made_up_files().items():
        (folder / name).write_text(text)
    return {str(sample.id): sample for sample in MULTIPL_E.read(folder)}


def missing(score_value: object) -> bool:
    return isinstance(score_value, float) and math.isnan(score_value)


@pytest.mark.parametrize("language", sorted(REFERENCES))
def test_hand_written_references_pass_and_mutants_fail(
    samples: dict[str, Sample], language: str
) -> None:
    names = sorted(REFERENCES[language])
    scorer = scorer_of(MULTIPL_E)
    for name in random.Random(SEED).sample(names, PROBLEMS[language]):
        sample = samples.get(f"{language}/{name}")
        if sample is None:
            pytest.skip("the published files are not here")
        right, wrong = REFERENCES[language][name]
        score = judged(scorer, sample, f"So:\n```{language}\n{right}\n```")
        if missing(score.value):
            pytest.skip(str(score.explanation))
        assert score.value == 1, (name, score.explanation)
        assert judged(scorer, sample, f"So:\n```{language}\n{wrong}\n```").value == 0, name


def test_canonical_python_solutions_pass_and_mutants_fail(samples: dict[str, Sample]) -> None:
    python = [sample for name, sample in sorted(samples.items()) if name.startswith("python/")]
    if not python:
        pytest.skip("the published files are not here")
    scorer = scorer_of(MULTIPL_E)
    for sample in random.Random(SEED).sample(python, PROBLEMS["python"]):
        assert sample.metadata is not None
        whole = sample.metadata["prompt"] + str(sample.target)
        name = sample.metadata["declaration"].rpartition("def ")[2].partition("(")[0]
        for right in (whole, str(sample.target).rstrip()):
            assert judged(scorer, sample, f"```python\n{right}\n```").value == 1, sample.id
        for kind, wrong in python_mutants(name, whole).items():
            score = judged(scorer, sample, f"```python\n{wrong}\n```")
            assert score.value == 0, (sample.id, kind)


def test_the_hubs_folders_are_read_and_its_variants_are_not(tmp_path: Path) -> None:
    row = {
        "name": "HumanEval_0_f",
        "language": "cpp",
        "prompt": "long f(long n) {\n",
        "doctests": "transform",
        "original": "x.py",
        "prompt_terminology": "reworded",
        "tests": "}\nint main() {\n}\n",
        "stop_tokens": ["\n}"],
    }
    for name in ("humaneval-cpp", "humaneval-cpp-keep", "humaneval-lua", "mbpp-cpp"):
        parquet(tmp_path / name / "test-00000-of-00001.parquet", [row])
    assert [sample.id for sample in MULTIPL_E.read(tmp_path)] == ["cpp/HumanEval_0_f"]


def test_a_language_without_a_compiler_is_unscored(samples: dict[str, Sample]) -> None:
    scorer = scorer_of(MULTIPL_E)
    for group in {"php", "csharp", "typescript"} & set(GROUPS):
        sample = next((s for name, s in samples.items() if name.startswith(f"{group}/")), None)
        if sample is not None:
            score = judged(scorer, sample, "no program")
            assert score.value == 0 or missing(score.value)
            assert not missing(score.value) or "not found" in str(score.explanation)


def test_the_row_is_the_mean_of_eight_languages() -> None:
    names = {"cpp", "csharp", "java", "javascript", "php", "python", "bash", "typescript"}
    assert MULTIPL_E.protocol.groups == dict.fromkeys(names, 1.0)
