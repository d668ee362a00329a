"""MultiPL-E: HumanEval's problems in eight languages, by execution.

Paper: https://arxiv.org/abs/2208.08227. Protocol: pass@1, the mean over C++, C#, Java, JavaScript,
PHP, Python, Bash and TypeScript (the README's note), zero-shot chat, one answer, temperature 0.6,
8,192 tokens of output.

Prompt: the published prompt in a fenced block, with the request for the whole function. The paper
completes bare prompts; the README's row measures chat models, and does not print its prompt.
Extraction: the last block in the language that has the function's name; a body alone continues the
prompt. Metric: the published tests follow the answer in one program, which must reach their end;
in Python they run in a process of their own. A language that the machine or the data lacks is
unscored, never wrong.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import TaskState

from openk2.environments import LANGUAGES, Sandbox
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.code.extraction import extract_code
from openk2.eval.code.judgement import Judgement
from openk2.eval.code.place import chosen_sandbox, run_aside
from openk2.eval.code.programs import run_tests_after
from openk2.eval.code.python_tests import run_python_tests
from openk2.eval.code.whole_program import function_name, whole_program
from openk2.eval.records import Record, find, read_file

# As the published files name them -> as we do.
_PUBLISHED = {
    "cpp": "cpp",
    "cs": "csharp",
    "java": "java",
    "js": "javascript",
    "php": "php",
    "py": "python",
    "python": "python",
    "sh": "bash",
    "ts": "typescript",
}
GROUPS = dict.fromkeys(_PUBLISHED.values(), 1.0)

_PROMPT = """Complete this {title} function. Answer with one ```{fence} block that holds the whole \
function, with its signature and everything that it needs, and neither tests nor examples of use.

```{fence}
{prompt}
```"""


def read(folder: Path) -> list[Sample]:
    """One sample for each problem and language; files of other languages are left out."""
    samples = []
    for path in find(folder, "humaneval-*", "humaneval-*/*"):
        # A file or the hub's folder; `humaneval-cpp-keep` is an older variant of `humaneval-cpp`.
        published = re.match(r"humaneval-([a-z]+)[./]", str(path.relative_to(folder)))
        if published and published[1] in _PUBLISHED:
            language = _PUBLISHED[published[1]]
            samples += [_sample(record, language) for record in read_file(path)]
    return samples


def _sample(record: Record, language: str) -> Sample:
    prompt = record.text("prompt")
    canonical = record.get("canonical_solution", "")
    return Sample(
        id=f"{language}/{record.text('name', 'task_id').replace('/', '_')}",
        input=_PROMPT.format(
            title=LANGUAGES[language].title, fence=language, prompt=prompt.rstrip()
        ),
        target=str(canonical),
        metadata={
            "group": language,
            "prompt": prompt,
            "tests": record.text("tests", "test"),
            "declaration": record.get("declaration", prompt),
        },
    )


def judge(sandbox: Sandbox, metadata: dict[str, Any], code: str) -> Judgement:
    """Whether `code`, out of an answer, passes the problem's tests."""
    language, prompt, tests = metadata["group"], metadata["prompt"], metadata["tests"]
    if language == "python":
        return _judge_python(sandbox, metadata, code)
    program, rest = whole_program(language, prompt, code, tests)
    return run_tests_after(sandbox, language, program, rest)


def _judge_python(sandbox: Sandbox, metadata: dict[str, Any], code: str) -> Judgement:
    prompt, tests = metadata["prompt"], metadata["tests"]
    name = re.findall(r"^def (\w+)", metadata["declaration"], re.M)[-1]
    if not re.search(rf"^(?:async )?def {name}\b|^{name}\s*=", code, re.M):
        code = prompt + code
    else:  # helpers and imports of the prompt stay at hand, as they do for a completion
        code = f"{prompt}    pass\n\n{code}"
    if not re.search(rf"^(?:check\({name}\)|test_check\(\))", tests, re.M):
        tests += f"\ncheck({name})\n"
    return run_python_tests(
        sandbox, solution=code, tests=tests, names=[name], prelude=f"{prompt}    pass\n"
    )


@scorer(metrics=[mean()])
def passes_tests() -> Scorer:
    """1 for a program that passes its tests."""
    sandbox = chosen_sandbox()

    async def score(state: TaskState, target: Target) -> Score:
        language = state.metadata["group"]
        name = (
            re.findall(r"^def (\w+)", state.metadata["declaration"], re.M)[-1]
            if language == "python"
            else function_name(state.metadata["prompt"])
        )
        code = extract_code(state.output.completion, language, defines=name)
        verdict = await run_aside(partial(judge, sandbox, state.metadata, code))
        return verdict.score(code)

    return score


MULTIPL_E = Benchmark(
    name="multipl-e",
    title="MultiPL-E",
    paper="https://arxiv.org/abs/2208.08227",
    protocol=Protocol(metric="Pass@1", groups=GROUPS, runs_code=tuple(GROUPS)),
    source=DataHome(
        folder="multipl-e",
        files=("humaneval-*",),
        obtain="Hugging Face nuprl/MultiPL-E, humaneval-* (Python: openai/human-eval's file)",
        hub="nuprl/MultiPL-E",
    ),
    read=read,
    scorer=passes_tests,
)
