"""Plain words from what API descriptions hold: HTML, Markdown, identifiers in any case style."""

import html
import re


def word_set(text: str) -> frozenset[str]:
    """The words of a text: a short way to write a set of many."""
    return frozenset(text.split())


_TAGS = re.compile(r"<[^>]{0,200}>")
_BREAKS = re.compile(r"</?(?:p|br|li|ul|ol|note|div|h\d)\s*/?>", re.IGNORECASE)
_LINKS = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"[`*|~^#]+|_{2,}")
_SPACES = re.compile(r"\s+")
_SENTENCE = re.compile(r"(?<![A-Z.])(?<!e\.g)(?<!i\.e)(?<!etc)(?<!vs)[.!?](?:\s|$)|\n\s*\n|\r\n")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LABEL = re.compile(
    r"^(?:required|optional|output only|input only|immutable|read-only)\b[.:]?\s*", re.I
)
_NOT_PLURAL = word_set(
    "news dns aws address access process business analysis status basis https canvas alias sms gps "
    "gas bus yes kubernetes ios series sales progress express class css tls ssl bonus corpus"
    "lens atlas redis os windows previous various has its as is this was pos cors rds ecs eks sns "
    "sqs emr waf sts kms iops rss cms axis apis-index analytics mathematics campus"
)
_ENGLISH = word_set("the of to for is by and with this an that from your which used")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "\xa0": " "})


def first_sentence(text: object, limit: int) -> str:
    """The first sentence without markup, with a full stop; "" if none of `limit` characters."""
    if not isinstance(text, str):
        return ""
    plain = _BREAKS.sub("\n\n", text[:3000])
    plain = html.unescape(_TAGS.sub(" ", plain)).translate(_QUOTES)
    plain = _MARKS.sub("", _LINKS.sub(r"\1", plain)).strip()
    plain = _LABEL.sub("", plain)
    sentence = _SPACES.sub(" ", _SENTENCE.split(plain, maxsplit=1)[0]).strip(" .:;,-")
    sentence = re.sub(r"\s+([,.;:)])", r"\1", sentence)
    sentence = sentence.replace("( ", "(")
    sentence = sentence.replace("navigation property ", "")
    if not 3 <= len(sentence) <= limit or not sentence.isascii():
        return ""
    if any(mark in sentence for mark in "{}<>[]\\=") or "http" in sentence or "|" in sentence:
        return ""
    if sentence.count("(") != sentence.count(")") or sentence.count('"') % 2:
        return ""
    return f"{sentence[0].upper()}{sentence[1:]}."


def is_english(sentence: str) -> bool:
    """Whether a sentence has one of the commonest English words."""
    return not _ENGLISH.isdisjoint(sentence.lower().rstrip(".").split())


def words_of(name: str) -> list[str]:
    """An identifier's words in lower case: "customerID" is customer, id."""
    return [word.lower() for word in _WORD.findall(name)]


def singular(word: str) -> str:
    """A noun without its plural ending, roughly: for comparing words, not for showing them."""
    word = word.lower()
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 2:
        return word[:-1]
    return word


def is_plural(word: str) -> bool:
    """Whether a noun's form is a plural."""
    return word.lower() not in _NOT_PLURAL and singular(word) != word.lower()
