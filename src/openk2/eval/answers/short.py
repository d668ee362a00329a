"""Short answers, normalized and matched whole, as TriviaQA's evaluation does (arXiv 1705.03551)."""

import re
import string
from collections.abc import Iterable

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_MARKS = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`", " "))


def normalized_short(text: str) -> str:
    """Lower case, without punctuation, articles and extra spaces."""
    return " ".join(_ARTICLES.sub(" ", text.replace("_", " ").lower().translate(_MARKS)).split())


def short_answer(completion: str) -> str:
    """What a base model continues `Answer:` with: its first line that is not blank."""
    return completion.strip().split("\n", 1)[0].strip()


def same_short(answer: str, references: Iterable[str]) -> bool:
    """Whether an answer equals one of the references after normalization. An empty one does not."""
    ours = normalized_short(answer)
    return bool(ours) and any(ours == normalized_short(reference) for reference in references)
