"""Questions about what stands in the conversation: the date, the user's name.

They are answered from the system turn or from what the user said, and with "I don't know" if
neither tells.
"""

import re
from random import Random

from openk2.synthesis.phrasings import Exchange, phrasing
from openk2.synthesis.values import Split

_DATE = re.compile(r"Today is (\d{4}-\d\d-\d\d)\.")
_NAME = re.compile(r"(?:The user is called|\b[Mm]y name is) ([^.\n]+)\.")
_DATE_ASKED = ("What is the date today?", "What day is it?", "What's today's date?",
               "Which day is today?", "What date is it?", "Tell me today's date.",
               "Do you know what day it is?", "What is today's date?", "What day is it today?",
               "Can you tell me the date?")  # fmt: skip
_NAME_ASKED = ("What is my name?", "Do you know my name?", "What's my name?",
               "What am I called?", "Can you tell me my name?", "Who am I?", "Say my name.",
               "Do you know who I am?", "Tell me my name.",
               "Do you remember what I am called?")  # fmt: skip


def recalled(rng: Random, split: Split, before: str) -> Exchange:
    """A question whose answer stands in `before`, or nowhere. The last name told counts."""
    if rng.random() < 0.5:
        dates = _DATE.findall(before)
        answer = f"Today is {dates[-1]}." if dates else "I don't know today's date."
        return phrasing(rng, split, _DATE_ASKED), answer
    names = _NAME.findall(before)
    answer = f"Your name is {names[-1]}." if names else (
        "I don't know your name, because you have not told me."
    )  # fmt: skip
    return phrasing(rng, split, _NAME_ASKED), answer
