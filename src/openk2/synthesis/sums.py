"""What can be worked out: small sums, days and months, letters, simple comparisons."""

from random import Random

from openk2.synthesis.phrasings import Exchange, phrasing, sentence
from openk2.synthesis.values import Split

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip
_LENGTHS = dict(zip(_MONTHS, (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
             "tenth", "eleventh", "twelfth")  # fmt: skip
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SUM_FORMS = ("What is {}?", "How much is {}?", "Compute {}.", "{} = ?", "Calculate {}.",
              "{}", "Can you work out {}?", "What's {}?", "Tell me what {} is.",
              "What does {} make?", "Solve {}.", "How much does {} make?")  # fmt: skip


def arithmetic(rng: Random, split: Split) -> Exchange:
    """A sum, difference, product or quotient whose numbers are small."""
    one, two = rng.randint(0, 12), rng.randint(0, 12)
    sign = rng.choice("++--*/")
    if sign == "+":
        said, result = "plus", one + two
    elif sign == "-":
        one, two = max(one, two), min(one, two)
        said, result = "minus", one - two
    elif sign == "*":
        one, two = rng.randint(0, 10), rng.randint(0, 10)
        said, result = "times", one * two
    else:
        two, result = rng.randint(1, 10), rng.randint(0, 10)
        one, said = two * result, "divided by"
    written = rng.choice((sign, sign, f" {sign} ", "x" if sign == "*" else sign))
    shown = f"{one}{written}{two}" if rng.random() < 0.5 else f"{one} {said} {two}"
    return phrasing(rng, split, _SUM_FORMS).replace("{}", shown), f"{one} {said} {two} is {result}."


def number_question(rng: Random, split: Split) -> Exchange:
    """Doubles, halves, squares, neighbours, even or odd, the larger of two."""
    kind = rng.choice((_multiple, _multiple, _next_number, _parity, _larger))
    return kind(rng, split)


def _multiple(rng: Random, split: Split) -> Exchange:
    number = rng.randint(1, 20)
    kinds = (("double", number, 2 * number), ("half of", 2 * number, number),
             ("the square of", number % 10 + 1, (number % 10 + 1) ** 2))  # fmt: skip
    noun, start, result = rng.choice(kinds)
    asked = ("What is {}?", "How much is {}?", "Tell me {}.", "Calculate {}.", "What's {}?")
    shown = f"{noun} {start}"
    return phrasing(rng, split, asked).format(shown), sentence(f"{shown} is {result}")


def _next_number(rng: Random, split: Split) -> Exchange:
    number, (side, step) = rng.randint(1, 20), rng.choice((("after", 1), ("before", -1)))
    asked = ("Which number comes {} {}?", "What number is {} {}?", "What comes {} {}?",
             "Counting up, what number comes {} {}?",
             "Tell me the number that comes {} {}.")  # fmt: skip
    return phrasing(rng, split, asked).format(
        side, number
    ), f"{number + step} comes {side} {number}."


def _parity(rng: Random, split: Split) -> Exchange:
    number = rng.randint(1, 20)
    asked = ("Is {} even or odd?", "Is {} odd or even?", "Is the number {} even or odd?",
             "{}: even or odd?", "Tell me if {} is even or odd.")  # fmt: skip
    return phrasing(rng, split, asked).format(number), f"{number} is {('even', 'odd')[number % 2]}."


def _larger(rng: Random, split: Split) -> Exchange:
    one, two = rng.sample(range(1, 101), 2)
    asked = ("Which is larger, {} or {}?", "What is bigger, {} or {}?", "Is {} or {} larger?",
             "Which number is greater: {} or {}?", "Tell me the larger of {} and {}.")  # fmt: skip
    question = phrasing(rng, split, asked).format(one, two)
    return question, f"{max(one, two)} is larger than {min(one, two)}."


def calendar(rng: Random, split: Split) -> Exchange:
    """The day or month before or after, the n-th of them, the length of a month."""
    kind = rng.choice((_neighbour, _neighbour, _nth, _length))
    return kind(rng, split)


def _neighbour(rng: Random, split: Split) -> Exchange:
    names, noun = rng.choice(((_DAYS, "day"), (_MONTHS, "month")))
    number, (side, step) = rng.randrange(len(names)), rng.choice((("after", 1), ("before", -1)))
    asked = ("What {0} comes {1} {2}?", "Which {0} is {1} {2}?", "What {0} is {1} {2}?",
             "Which {0} comes {1} {2}?", "Tell me the {0} {1} {2}.",
             "What is the {0} {1} {2}?")  # fmt: skip
    question = phrasing(rng, split, asked).format(noun, side, names[number])
    other = names[(number + step) % len(names)]
    return question, f"The {noun} {side} {names[number]} is {other}."


def _nth(rng: Random, split: Split) -> Exchange:
    names, noun, whole, start = rng.choice(
        ((_DAYS, "day", "week", "Counting from Monday, the"), (_MONTHS, "month", "year", "The"))
    )
    number = rng.randrange(len(names))
    asked = ("What is the {0} {1} of the {2}?", "Which is the {0} {1} of the {2}?",
             "Name the {0} {1} of the {2}.", "Which {1} is the {0} of the {2}?",
             "Tell me the {0} {1} of the {2}.")  # fmt: skip
    question = phrasing(rng, split, asked).format(_ORDINALS[number], noun, whole)
    return question, f"{start} {_ORDINALS[number]} {noun} of the {whole} is {names[number]}."


def _length(rng: Random, split: Split) -> Exchange:
    name = rng.choice(_MONTHS)
    asked = ("How many days does {} have?", "How many days are in {}?", "How long is {}?",
             "How many days are there in {}?", "Tell me how many days {} has.")  # fmt: skip
    leap = ", or 29 in a leap year" if name == "February" else ""
    return phrasing(rng, split, asked).format(name), f"{name} has {_LENGTHS[name]} days{leap}."


def alphabet(rng: Random, split: Split) -> Exchange:
    """The letter before or after, the n-th letter, vowel or consonant."""
    number, kind = rng.randrange(26), rng.choice(("next", "next", "nth", "vowel"))
    letter = _LETTERS[number]
    if kind == "next" and 0 < number < 25:
        side, step = rng.choice((("after", 1), ("before", -1)))
        asked = ("Which letter comes {} {}?", "What letter is {} {}?", "What letter comes {} {}?",
                 "In the alphabet, what comes {} {}?", "Tell me the letter {} {}.")  # fmt: skip
        question = phrasing(rng, split, asked).format(side, letter)
        return question, f"The letter {side} {letter} is {_LETTERS[number + step]}."
    if kind == "vowel":
        word = "a vowel" if letter in "AEIOU" else "a consonant"
        asked = ("Is {} a vowel or a consonant?", "Is the letter {} a vowel or a consonant?",
                 "Vowel or consonant: {}?", "Is {} a consonant or a vowel?",
                 "Tell me if {} is a vowel or a consonant.")  # fmt: skip
        return phrasing(rng, split, asked).format(letter), f"{letter} is {word}."
    place = rng.randrange(12)
    asked = ("What is the {} letter of the alphabet?", "Which letter is the {} of the alphabet?",
             "Name the {} letter of the alphabet.", "What's the {} letter in the alphabet?",
             "Tell me the {} letter of the alphabet.")  # fmt: skip
    question = phrasing(rng, split, asked).format(_ORDINALS[place])
    return question, f"The {_ORDINALS[place]} letter of the alphabet is {_LETTERS[place]}."
