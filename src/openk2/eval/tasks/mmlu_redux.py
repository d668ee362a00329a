"""MMLU-Redux 2.0: 5,700 questions of MMLU, checked by hand (arXiv 2406.04127).

Only questions that the annotators found no fault with count (error_type `ok`): the set itself
proposes this, and a corrected key is given for a few of the others only.
Chat and base as MMLU; base takes its five worked questions from MMLU's development set, looked for
in dev/ of this folder and in mmlu/ beside it.
"""

from functools import partial
from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.eval.answers.questions import letter_of
from openk2.eval.answers.scoring import by_rule, choice_rule, picked_rule
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.records import Record, find, read_file
from openk2.eval.tasks.mmlu import OPTIONS, SHOTS, chat_sample, option_sample, prefix, questions
from openk2.record import DataError


def subject_of(path: Path) -> str:
    """The hub has a folder a subject (`anatomy/data-00000-of-00001.arrow`), a local copy may have a
    file a subject."""
    named = path.parent.name if path.stem.startswith(("test", "data")) else path.stem
    return named.removesuffix("_test")


def development(folder: Path) -> dict[str, list[Record]]:
    """MMLU's development questions. Raises DataError that says where to put them."""
    for place in (folder, folder.parent / "mmlu"):
        try:
            return questions(place, "dev")
        except DataError:
            continue
    raise DataError(f"{folder}: 5-shot needs MMLU's development set in {folder}/dev or beside it")


def read_samples(folder: Path, *, base: bool) -> list[Sample]:
    """Fields question, choices, answer (an index), error_type."""
    shots = development(folder) if base else {}
    samples = []
    for path in find(folder, "*test*", "data-*", "*.jsonl"):
        subject = subject_of(path)
        for number, record in enumerate(read_file(path)):
            if record.text("error_type") != "ok":
                continue
            topic = str(record.get("subject", subject))
            identity, answer = f"{topic}-{number}", letter_of(record, OPTIONS, "answer")
            samples.append(
                option_sample(identity, record, prefix(topic, shots.get(topic, [])), answer)
                if base
                else chat_sample(identity, record, answer)
            )
    return samples


SOURCE = DataHome(
    folder="mmlu_redux",
    files=("*",),
    obtain="download edinburgh-dawg/mmlu-redux-2.0 from the Hugging Face hub into mmlu_redux/",
    hub="edinburgh-dawg/mmlu-redux-2.0",
)
MMLU_REDUX = Benchmark(
    name="mmlu-redux",
    title="MMLU-Redux",
    paper="https://arxiv.org/abs/2406.04127",
    protocol=Protocol(metric="EM"),
    source=SOURCE,
    read=partial(read_samples, base=False),
    scorer=by_rule(choice_rule),
)
MMLU_REDUX_BASE = Benchmark(
    name="mmlu-redux-base",
    title="MMLU-redux-2.0",
    paper="https://arxiv.org/abs/2406.04127",
    protocol=Protocol(metric="EM", asks="options", shots=SHOTS, temperature=0.0, max_tokens=1),
    source=SOURCE,
    read=partial(read_samples, base=True),
    scorer=by_rule(picked_rule),
)
