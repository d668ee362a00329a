"""Twenty questions that a newcomer asks first, and what counts as a sensible answer.

The built-in model's training data has most of them, in these words or others: this asks whether a
first conversation is absurd, and says nothing about unseen questions.
"""

import re
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from openk2.eval.admission import UNKNOWN
from openk2.eval.crowd import Unanswered, map_bounded
from openk2.eval.tool_loop import is_final
from openk2.generation import ChatGenerator, ChatRequest, complete


@dataclass(frozen=True)
class Question:
    """A question, the pattern that a sensible answer holds, and whether one may not know it."""

    text: str
    sensible: str
    may_not_know: bool = True

    def accepts(self, answer: str) -> bool:
        """Whether the answer is sensible, or says that the model does not know, where it may."""
        pattern = f"{self.sensible}|{UNKNOWN}" if self.may_not_know else self.sensible
        return re.search(pattern, answer, re.IGNORECASE) is not None


QUESTIONS = (
    Question("Hello!", r"\b(hello|hi|hey|welcome|help)\b", may_not_know=False),
    Question("How are you?", r"\b(fine|well|good|great|thank|thanks|program)\b", False),
    Question("Please introduce yourself in one sentence.", r"\b(model|assistant|AI)\b", False),
    Question("What can you do for me?", r"\b(help|call|tools?|answer|chat|assist)\b", False),
    Question("Thank you very much!", r"welcome|pleasure|glad|any ?time|no problem", False),
    Question("What is the capital of France?", r"\bParis\b"),
    Question("What's the capital of Japan?", r"\bTokyo\b"),
    Question("What is 2 + 2?", r"(\b(is|equals)|=)[\s*_]*(4|four)\b(?!\.\d)|^\W*(4|four)\W*$"),
    Question("What is 7 times 8?", r"\b(56|fifty-six)\b"),
    Question("How many days are in a week?", r"\b(7|seven)\b"),
    Question("What colour is the sky on a clear day?", r"\bblue\b"),
    Question("What is the opposite of hot?", r"\b(cold|cool)\b"),
    Question("Which planet is the largest?", r"\bJupiter\b"),
    Question("Who wrote Romeo and Juliet?", r"\bShakespeare\b"),
    Question("At what temperature does water boil?", r"\b(100|212|373)\b"),
    Question(
        "What day comes after Monday?", r"\b(is|comes)[\s*_]+Tuesday|^\W*Tuesday|Tuesday comes"
    ),
    Question("How many legs does a spider have?", r"\b(8|eight)\b"),
    Question("Who is Zorblan Quimbly?", UNKNOWN),
    Question("What was in the news this morning?", UNKNOWN),
    Question("What is 48273 times 9184?", r"443,?339,?232"),
)


@dataclass(frozen=True)
class EverydayReply:
    """What the model answered, and whether that is sensible."""

    question: Question
    answer: str
    sensible: bool

    def to_json(self) -> dict[str, Any]:
        """Question, answer and verdict as plain JSON."""
        return {"question": self.question.text, "answer": self.answer, "sensible": self.sensible}


async def ask_everyday(
    generator: ChatGenerator,
    *,
    temperature: float = 0.6,
    seed: int = 0,
    max_tokens: int = 256,
    concurrency: int = 8,
    progress: Progress | None = None,
) -> list[EverydayReply]:
    """Ask each of QUESTIONS in a conversation of its own, without tools.

    A call, or an answer that is cut off, is not sensible. A question that a busy or unreachable
    server never answered is left out. Raises what the generator raises otherwise.
    """

    async def ask(number: int) -> EverydayReply:
        question = QUESTIONS[number]
        messages = [{"role": "user", "content": question.text}]
        request = ChatRequest(
            messages, max_tokens=max_tokens, temperature=temperature, seed=seed + number
        )
        answer = await complete(generator, request)
        sensible = is_final(answer) and question.accepts(answer.content)
        return EverydayReply(question, answer.content, sensible)

    replies = await map_bounded(
        ask,
        range(len(QUESTIONS)),
        concurrency=concurrency,
        progress=progress,
        label="everyday questions",
    )
    return [reply for reply in replies if not isinstance(reply, Unanswered)]
