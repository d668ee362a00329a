"""Made-up questions in the published file formats: no benchmark's text is in this repository."""

import base64
import json
import pickle
import zlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from record_files import Row, arrow, jsonl, parquet, table

FIVE = range(5)


def sums(*names: str, **more: Any) -> list[Row]:
    """Sums of two numbers; names: of the fields id, problem and answer."""
    identity, problem, answer = names
    return [{identity: n, problem: f"What is {n} + 10?", answer: str(n + 10), **more} for n in FIVE]


def choice_rows(count: int, **more: Any) -> list[Row]:
    """Questions whose right option is the n-th."""
    return [
        {
            "question": f"Which is {n}?",
            "choices": [str(o) for o in range(count)],
            "answer": n % count,
            **more,
        }
        for n in FIVE
    ]


def aime2024(folder: Path) -> None:
    jsonl(folder / "test.jsonl", sums("ID", "Problem", "Answer", Solution="By counting."))


def aime2025(folder: Path) -> None:
    jsonl(folder / "test.jsonl", sums("id", "problem", "answer"))


def math500(folder: Path) -> None:
    jsonl(folder / "test.jsonl", sums("unique_id", "problem", "answer", subject="Algebra", level=1))


def hmmt2025(folder: Path) -> None:
    rows = sums("problem_idx", "problem", "answer", problem_type=["Algebra"])
    parquet(folder / "data" / "train-00000-of-00001.parquet", rows)


def cnmo2024(folder: Path) -> None:
    """Beside the other languages and contests of the set."""
    for name in ("CNMO_en", "CNMO_cn", "AMC_en"):
        rows = sums("n", "question", "answer", question_type="Problem-Solving")
        jsonl(folder / "202412" / f"{name}.jsonl", rows)


def polymath(folder: Path) -> None:
    for language in ("en", "ja"):
        for level in ("low", "medium", "high", "top"):
            rows = [
                {**row, "id": f"{level}-{language}-{row['id']}"}
                for row in sums("id", "question", "answer")
            ]
            parquet(folder / language / f"{level}.parquet", rows)


def math(folder: Path) -> None:
    rows = [
        {**row, "solution": f"So \\boxed{{{row['a']}}}.", "type": "Algebra"}
        for row in sums("idx", "problem", "a")
    ]
    jsonl(folder / "test.json", rows)


def gsm8k(folder: Path) -> None:
    rows = [
        {"question": f"{n} and 10?", "answer": f"We add <<{n}+10={n + 10}>>.\n#### {n + 10}"}
        for n in range(8)
    ]
    for part in ("main", "socratic"):  # the hub has the questions twice
        parquet(folder / part / "train-00000-of-00001.parquet", rows)
        parquet(folder / part / "test-00000-of-00001.parquet", rows[:5])


def gpqa(folder: Path) -> None:
    def rows(name: str) -> list[Row]:
        wrong = {f"Incorrect Answer {i}": f"no {i}" for i in (1, 2, 3)}
        return [
            {
                "Record ID": f"{name}{n}",
                "Question": f"{name} {n}?",
                "Correct Answer": f"yes {n}\n",
                **wrong,
            }
            for n in FIVE
        ]

    table(folder / "gpqa_diamond.csv", rows("d"))
    table(folder / "gpqa_main.csv", [*rows("d"), *rows("m")])


def supergpqa(folder: Path) -> None:
    rows = [
        {
            "uuid": f"u{n}",
            "question": f"Which is {n}?",
            "options": [str(o) for o in range(10)],
            "answer": str(n),
            "answer_letter": "ABCDEFGHIJ"[n],
            "discipline": "x",
            "field": "x",
            "subfield": "x",
            "difficulty": "easy",
            "is_calculation": False,
        }
        for n in range(10)
    ]
    jsonl(folder / "SuperGPQA-all.jsonl", rows)


def hle(folder: Path) -> None:
    kinds = {"answer_type": "exactMatch", "rationale": "x", "raw_subject": "x", "category": "Math"}
    rows = [
        {**row, "id": str(row["id"]), "image": "", **kinds}
        for row in sums("id", "question", "answer")
    ]
    rows.append({**rows[0], "id": "picture", "image": "data:image/png;"})
    parquet(folder / "data" / "test-00000-of-00001.parquet", rows)


def mmlu(folder: Path) -> None:
    rows = [
        {
            "question": row["question"],
            **{f"choice{i}": c for i, c in enumerate(row["choices"])},
            "answer": row["answer"],
        }
        for row in choice_rows(4)
    ]
    table(folder / "test" / "high_school_sums_test.csv", rows)
    table(folder / "dev" / "high_school_sums_dev.csv", rows)


def mmlu_redux(folder: Path) -> None:
    """A saved data set for each subject, with its descriptions."""
    more = {"source": "x", "correct_answer": None, "potential_reason": None}
    rows = [
        *choice_rows(4, error_type="ok", **more),
        *choice_rows(4, error_type="wrong_groundtruth", **{**more, "correct_answer": "3"}),
    ]
    arrow(folder / "sums" / "data-00000-of-00001.arrow", rows)
    for name in ("dataset_info", "state"):
        jsonl(folder / "sums" / f"{name}.json", [{"features": {}}])
    parquet(
        folder.parent / "mmlu" / "all" / "dev-00000-of-00001.parquet",
        choice_rows(4, subject="sums"),
    )


def mmlu_pro(folder: Path) -> None:
    rows = [
        {
            "question_id": n,
            "question": f"Which is {n}?",
            "options": [str(o) for o in range(8)] + ["N/A"] * 2,
            "answer": "ABCDE"[n],
            "answer_index": n,
            "category": "math",
            "cot_content": f"A: Let's think step by step. It is {n}. The answer is ({'ABCDE'[n]}).",
        }
        for n in FIVE
    ]
    parquet(folder / "data" / "test-00000-of-00001.parquet", rows)
    parquet(folder / "data" / "validation-00000-of-00001.parquet", rows)


def ifeval(folder: Path) -> None:
    rows = [
        {
            "key": n,
            "prompt": "Say it without commas.",
            "instruction_id_list": ["punctuation:no_comma"],
            "kwargs": [{"num_words": None}],
        }
        for n in FIVE
    ]
    jsonl(folder / "input_data.jsonl", rows)


def multichallenge(folder: Path) -> None:
    axes = (
        "INFERENCE_MEMORY",
        "INSTRUCTION_RETENTION",
        "RELIABLE_VERSION_EDITING",
        "SELF_COHERENCE",
    )
    rows = [
        {
            "QUESTION_ID": f"q{n}",
            "AXIS": axes[n % 4],
            "TARGET_QUESTION": "Is it right?",
            "PASS_CRITERIA": "YES",
            "CONVERSATION": [
                {"role": "user", "content": "Call me Ann."},
                {"role": "assistant", "content": "Yes."},
                {"role": "user", "content": "Who am I?"},
            ],
        }
        for n in FIVE
    ]
    jsonl(folder / "benchmark_questions.jsonl", rows)


def simpleqa(folder: Path) -> None:
    rows = [{**row, "metadata": "{'topic': 'x'}"} for row in sums("n", "problem", "answer")]
    table(folder / "simple_qa_test_set.csv", rows)


def csimpleqa(folder: Path) -> None:
    jsonl(folder / "chinese_simpleqa.jsonl", sums("id", "question", "answer", primary_category="x"))


def triviaqa(folder: Path) -> None:
    rows = [
        {
            "question_id": f"tc_{row['n']}",
            "question": row["question"],
            "answer": {
                "value": f"The {row['a']}",
                "aliases": [f"number {row['a']}"],
                "normalized_aliases": [f"number {row['a']}"],
                "type": "WikipediaEntity",
            },
        }
        for row in sums("n", "question", "a")
    ]
    for part in ("rc.nocontext", "rc.web.nocontext", "unfiltered.nocontext"):
        parquet(folder / part / "validation-00000-of-00001.parquet", rows)


def ceval(folder: Path) -> None:
    rows = [
        {
            "id": n,
            "question": f"哪个是{n}？",
            "A": "0",
            "B": "1",
            "C": "2",
            "D": "3",
            "answer": "ABCDA"[n],
            "explanation": "",
        }
        for n in FIVE
    ]
    table(folder / "dev" / "logic_dev.csv", rows)
    table(folder / "val" / "logic_val.csv", rows)


def zebralogic(folder: Path) -> None:
    rows = [
        {
            "id": f"lgp-{n}",
            "size": "2*2",
            "puzzle": "Two houses.",
            "created_at": "x",
            "solution": {
                "header": ["House", "Name", "Pet"],
                "rows": [["1", "Ann", "cat"], ["2", "Bob", "dog"]],
            },
        }
        for n in FIVE
    ]
    parquet(folder / "grid_mode" / "test-00000-of-00001.parquet", rows)


def livebench(folder: Path) -> None:
    """A question of some tasks, and one each that is too new, gone, or of a withdrawn task."""
    first, release = datetime(2024, 6, 24), datetime(2024, 11, 25)
    table = {
        "turns": ["Please convert the Input Table from CSV format to JSON format.\n a\n1\n"],
        "ground_truth": '{"69":{"a":1}}',
    }
    asked = [
        ("math", {"task": "math_comp", "subtask": "amc_2023", "ground_truth": "C"}),
        ("math", {"task": "AMPS_Hard", "subtask": "integrals", "ground_truth": "\\frac{x^2}{2}"}),
        ("reasoning", {"task": "spatial", "ground_truth": "7"}),
        ("language", {"task": "typos", "ground_truth": "It is their house."}),
        ("data_analysis", {"task": "cta", "ground_truth": "Country Name"}),
        ("data_analysis", {"task": "tablereformat", **table}),
        (
            "instruction_following",
            {
                "task": "summarize",
                "instruction_id_list": ["punctuation:no_comma"],
                "kwargs": [{"n": None}],
            },
        ),
        ("reasoning", {"task": "house_traversal", "ground_truth": "x"}),
        (
            "reasoning",
            {
                "task": "spatial",
                "ground_truth": "7",
                "livebench_release_date": datetime(2025, 4, 2),
            },
        ),
        (
            "reasoning",
            {"task": "spatial", "ground_truth": "7", "livebench_removal_date": "2024-11-25"},
        ),
    ]
    files: dict[str, list[Row]] = {}
    for n, (category, row) in enumerate(asked):
        whole = {
            "question_id": f"q{n}",
            "category": category,
            "turns": ["Question?"],
            "livebench_release_date": first,
            "livebench_removal_date": "",
            **row,
        }
        files.setdefault(category, []).append(whole)
    files["coding"] = [contest(task, first, release) for task in ("LCB_generation", "removed")]
    files["coding"].append(contest("coding_completion", first, None))
    for category, rows in files.items():
        names = dict.fromkeys(name for row in rows for name in row)
        wide = [{name: row.get(name) for name in names} for row in rows]
        parquet(folder / category / "data" / "test-00000-of-00001.parquet", wide)


def contest(task: str, added: datetime, removed: datetime | None) -> Row:
    """A contest problem of LiveBench: its removal date is a time, unlike the other categories'."""
    tests = [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]
    hidden = [{"input": "4 -5\n", "output": "-1\n", "testtype": "stdin"}]
    packed = base64.b64encode(zlib.compress(pickle.dumps(json.dumps(hidden))))
    return {
        "question_id": task,
        "category": "coding",
        "turns": ["Add."],
        "question_title": "add",
        "public_test_cases": json.dumps(tests),
        "private_test_cases": packed.decode(),
        "original_json": {
            "question_content": "Add.",
            "platform": "atcoder",
            "contest_date": added,
            "starter_code": "",
            "metadata": "{}",
        },
        "partial_solution": "a, b = map(" if task == "coding_completion" else None,
        "task": "LCB_generation" if task == "removed" else task,
        "livebench_release_date": added,
        "livebench_removal_date": removed if task == "removed" else None,
    }


Writer = Callable[[Path], None]
