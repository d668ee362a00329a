"""Responses to IFEval's prompts, made by rule: most follow most instructions, many just miss one.

Counts are drawn around their thresholds, and sentences from a pool with abbreviations, initials,
numbers, ellipses and quotes, so that two counters of sentences have something to differ on.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

Arguments = Mapping[str, Any]
Edit = Callable[[str, Arguments, Random], str]

SENTENCES = (
    "The river rose in spring.",
    "Dr. Smith met Mr. Lee at 5 p.m. on Jan. 3 in St. Louis.",
    "Nobody knew why, but it was so.",
    "It costs $3.50, i.e. less than a ticket.",
    'He said "no." Then he left.',
    "Really?! Yes!",
    "Wait... what was that?",
    "The U.S. team won 3.2 points vs. the U.K. team.",
    "We need apples, pears, etc. for the cake.",
    "J. R. Ewing lives in Texas.",
    "Visit example.org for more (or ask us.)",
    "Version 2.0 is out. it is faster.",
    "Here is a list:",
    "1. First we mix.",
    "2. then we bake.",
    "What a day!",
    "NASA and the EU don't agree.",
    "The well-known rock'n'roll star sings, dances, and acts.",
)
# Enough of each for langdetect.
LANGUAGES = {
    "de": "Der Fluss stieg im Frühling, und niemand wusste warum. Wir brauchen Äpfel und Birnen.",
    "fr": "La rivière est montée au printemps, et personne ne savait pourquoi. Il faut du pain.",
    "it": "Il fiume è salito in primavera e nessuno sapeva perché. Abbiamo bisogno di mele.",
    "pt": "O rio subiu na primavera e ninguém sabia por quê. Precisamos de maçãs e peras.",
    "ru": "Весной река поднялась, и никто не знал почему. Нам нужны яблоки и груши.",
    "ar": "ارتفع النهر في الربيع ولم يعرف أحد السبب. نحن بحاجة إلى التفاح.",
    "hi": "वसंत में नदी का जल स्तर बढ़ गया और किसी को पता नहीं था कि क्यों। हमें सेब चाहिए।",
    "ko": "봄에 강물이 불어났고 아무도 그 이유를 몰랐다. 우리는 사과가 필요하다.",
    "vi": "Mùa xuân nước sông dâng cao và không ai biết tại sao. Chúng tôi cần táo và lê.",
    "th": "แม่น้ำสูงขึ้นในฤดูใบไม้ผลิและไม่มีใครรู้ว่าทำไม เราต้องการแอปเปิ้ล",
    "fa": "رودخانه در بهار بالا آمد و هیچ کس نمی دانست چرا. ما به سیب نیاز داریم.",
    "bn": "বসন্তে নদীর জল বেড়ে গিয়েছিল এবং কেউ জানত না কেন। আমাদের আপেল দরকার।",
}


def around(count: int, rng: Random) -> int:
    """A count, or one next to it."""
    return max(0, count + rng.choice((-1, 0, 0, 1)))


def passage(count: int, rng: Random) -> str:
    """So many sentences of the pool."""
    return " ".join(rng.choice(SENTENCES) for _ in range(count))


def sized(text: str, arguments: Arguments, rng: Random) -> str:
    """About the asked number of words."""
    words = passage(arguments["num_words"] // 3 + 5, rng).split()
    return " ".join(words[: around(arguments["num_words"], rng)])


def started(text: str, arguments: Arguments, rng: Random) -> str:
    """Paragraphs, of which the nth starts with the word."""
    parts = [passage(2, rng) for _ in range(around(arguments["num_paragraphs"], rng))]
    nth = arguments["nth_paragraph"] - 1
    if nth < len(parts):
        word = arguments["first_word"]
        first = rng.choice((word, word.capitalize(), f'"{word}"', f"{word},", f"{word}-like"))
        parts[nth] = f"{first} {parts[nth]}"
    return "\n\n".join(parts)


def frequent(word: str, count: int, text: str) -> str:
    return f"{text} {' '.join([word] * count)}."


def lettered(text: str, arguments: Arguments, rng: Random) -> str:
    """The letter about as often as asked."""
    letter = arguments["letter"].lower()
    lacking = around(arguments["let_frequency"], rng) - text.lower().count(letter)
    return f"{text} {letter * max(lacking, 0)}"


def capitals(text: str, arguments: Arguments, rng: Random) -> str:
    """Words in capitals, hyphens and apostrophes among them."""
    words = ("GO", "DON'T", "WELL-KNOWN", "A", "U.S.", "CANNOT", "STOP!", "X2", "JOHN'S")
    count = around(arguments["capital_frequency"], rng)
    return f"{text.lower()} {' '.join(rng.choice(words) for _ in range(count))}"


def in_json(text: str, arguments: Arguments, rng: Random) -> str:
    written = json.dumps({"answer": text}, ensure_ascii=False)
    return rng.choice(
        (written, f"```json\n{written}\n```", f"```\n{written}\n```", f"Here: {written}")
    )


def marked(text: str, arguments: Arguments, rng: Random) -> str:
    """A postscript in one of its spellings."""
    marker = arguments["postscript_marker"]
    spelled = rng.choice((marker, marker.lower(), ". ".join(marker.split(".")), marker.strip(".")))
    return f"{text}\n\n{spelled} Do not forget."


def repeated(separator: str, key: str) -> Edit:
    """Passages with a separator between them."""

    def edit(text: str, arguments: Arguments, rng: Random) -> str:
        count = around(arguments.get(key, 2), rng)
        return separator.join(passage(2, rng) for _ in range(count))

    return edit


def each(template: str, key: str) -> Edit:
    """A line for each of the asked number."""

    def edit(text: str, arguments: Arguments, rng: Random) -> str:
        lines = [template.format(n=n + 1) for n in range(around(arguments[key], rng))]
        return "\n".join([text, *lines])

    return edit


EDITS: Mapping[str, Edit] = {
    "keywords:existence": lambda text, a, rng: f"{text} {' '.join(a['keywords'])}.",
    "keywords:frequency": lambda text, a, rng: frequent(
        a["keyword"], around(a["frequency"], rng), text
    ),
    "keywords:forbidden_words": lambda text, a, rng: (
        text + rng.choice(("", f" {a['forbidden_words'][0]}.", f" un{a['forbidden_words'][0]}s."))
    ),
    "keywords:letter_frequency": lettered,
    "language:response_language": lambda text, a, rng: LANGUAGES.get(a["language"], text),
    "length_constraints:number_sentences": lambda text, a, rng: passage(
        around(a["num_sentences"], rng), rng
    ),
    "length_constraints:number_paragraphs": lambda text, a, rng: repeated(
        rng.choice(("\n\n***\n\n", "\n***\n", "***", "\n\n* * *\n\n")), "num_paragraphs"
    )(text, a, rng),
    "length_constraints:number_words": sized,
    "length_constraints:nth_paragraph_first_word": started,
    "detectable_content:number_placeholders": each("Name: [name {n}]", "num_placeholders"),
    "detectable_content:postscript": marked,
    "detectable_format:number_bullet_lists": lambda text, a, rng: each(
        rng.choice(("* item {n}", "- item {n}", "  * item {n}", "*item {n}*", "• item {n}")),
        "num_bullets",
    )(text, a, rng),
    "detectable_format:constrained_response": lambda text, a, rng: rng.choice(
        ("My answer is yes.", "my answer is no.", "My answer is maybe. Or so.", "Yes.")
    ),
    "detectable_format:number_highlighted_sections": lambda text, a, rng: each(
        rng.choice(("*part {n}*", "**part {n}**", "* part {n} *", "*part {n}")), "num_highlights"
    )(text, a, rng),
    "detectable_format:multiple_sections": lambda text, a, rng: each(
        a["section_spliter"] + rng.choice((" {n}\nText.", " {n}: text", "{n}\nText.", " A\nText.")),
        "num_sections",
    )(text, a, rng),
    "detectable_format:json_format": in_json,
    "detectable_format:title": lambda text, a, rng: rng.choice(
        (f"<<A title>>\n{text}", f"<< >>\n{text}", f"<A title>\n{text}", f"<<A\ntitle>>\n{text}")
    ),
    "combination:two_responses": repeated("\n******\n", "unused"),
    "combination:repeat_prompt": lambda text, a, rng: (
        rng.choice(("", "", "\n", "Sure. ")) + f"{a['prompt_to_repeat']}\n{text}"
    ),
    "startend:end_checker": lambda text, a, rng: (
        f"{text} {a['end_phrase']}" + rng.choice(("", "", '"', "\n", " Bye.", "."))
    ),
    "startend:quotation": lambda text, a, rng: rng.choice((f'"{text}"', f"'{text}'", f'"{text}')),
    "change_case:capital_word_frequency": capitals,
    "change_case:english_capital": lambda text, a, rng: text.upper(),
    "change_case:english_lowercase": lambda text, a, rng: text.lower(),
    "punctuation:no_comma": lambda text, a, rng: text.replace(",", ""),
}


def response(prompt: str, instructions: Sequence[Mapping[str, Any]], rng: Random) -> str:
    """A response to a prompt."""
    if rng.random() < 0.04:
        return rng.choice(("", " \n", prompt, "..."))
    text = "\n\n".join(passage(rng.randrange(1, 6), rng) for _ in range(rng.randrange(1, 4)))
    for instruction in instructions:
        if rng.random() < 0.9:
            text = EDITS[instruction["id"]](text, instruction["kwargs"], rng)
    return text
