"""What an operation does, as a verb and its object: "Lists all invoices of ..." is list, invoices.

An operation whose description and name give no such pair in plain English is of no use here.
"""

import re

from openk2.synthesis.apis.verbs import BASE_OF, CLASS_OF
from openk2.synthesis.apis.wording import is_plural, words_of

_LEAD = re.compile(
    r"^(?:(?:this|the) (?:api |rest )?(?:endpoint|method|operation|api|call|request|function|route|"
    r"service|action|command|resource|webservice)(?: call| endpoint| operation| method)?|api|"
    r"endpoint|method|operation|used|you can use this \w+|use this \w+|use|call this \w+)?\s*"
    r"(?:can be used to|is used to|is used for|allows? (?:you|users?|clients?|the user|one|to)?"
    r"(?: to)?|lets? you|enables? (?:you|users) to|will|to)\s+(?=\w)"
)
_LEAD_NOUN = re.compile(
    r"^(?:this|the) (?:api |rest )?(?:endpoint|method|operation|api|call|request|function|route|"
    r"service|action|command|resource) (?=\w)"
)
_CUT = frozenset(
    [
        "that",
        "which",
        "if",
        "when",
        "where",
        "by",
        "using",
        "based",
        "via",
        "so",
        "as",
        "given",
        "identified",
        "according",
        "including",
        "matching",
        "whose",
        "who",
        "used",
        "into",
        "through",
        "per",
        "without",
        "under",
        "than",
        "then",
        "until",
        "because",
        "while",
        "after",
        "before",
        "within",
        "having",
        "belonging",
        "related",
        "associated",
        "available",
        "owned",
        "specified",
        "and",
        "or",
        "but",
        "along",
        "containing",
        "regarding",
        "across",
        "during",
        "you",
        "your",
        "we",
        "our",
        "only",
    ]
)
_LINKS = frozenset(
    ["for", "in", "of", "from", "to", "on", "with", "at", "about", "against", "between"]
)
_DETERMINERS = frozenset(
    [
        "a",
        "an",
        "the",
        "all",
        "any",
        "every",
        "each",
        "some",
        "this",
        "these",
        "that",
        "those",
        "one",
        "new",
    ]
)
_VAGUE = frozenset(
    [
        "specified",
        "given",
        "requested",
        "provided",
        "following",
        "single",
        "particular",
        "specific",
        "existing",
        "individual",
        "supplied",
        "certain",
        "multiple",
        "several",
        "current",
    ]
)
_HOLLOW = frozenset(
    [
        "it",
        "them",
        "data",
        "object",
        "objects",
        "item",
        "items",
        "resource",
        "resources",
        "entity",
        "entities",
        "request",
        "response",
        "value",
        "information",
        "info",
        "result",
        "results",
        "thing",
        "things",
        "instance",
        "method",
        "endpoint",
        "api",
        "operation",
        "url",
        "call",
        "example",
        "test",
        "sample",
        "id",
        "ids",
        "type",
        "types",
        "list",
        "lists",
        "detail",
        "details",
        "more",
        "one",
        "all",
    ]
)
_BRANDS = frozenset(
    ["github", "youtube", "onenote", "sharepoint", "openapi", "bigquery", "paypal", "linkedin"]
)
_TOKEN = re.compile(r"^[A-Za-z][A-Za-z'\-]*$")


def deed_of(description: str, name: str) -> tuple[str, str] | None:
    """The verb and the object without article, from the description or else the name."""
    return _from_sentence(description) or _from_name(name)


def object_head(phrase: str) -> str:
    """The noun that an object phrase is about: "list of open invoices for" is invoices."""
    words = phrase.split()
    if len(words) > 2 and words[0] in ("list", "number", "set", "collection") and words[1] == "of":
        words = words[2:]
    for index, word in enumerate(words):
        if word in _LINKS and index:
            return words[index - 1]
    return words[-1]


def _from_sentence(sentence: str) -> tuple[str, str] | None:
    text = sentence.rstrip(".")
    text = text[:1].lower() + text[1:]
    text = _LEAD_NOUN.sub("", _LEAD.sub("", text))
    verb, _, rest = text.partition(" ")
    verb = BASE_OF.get(verb.lower(), "")
    if not verb or not rest:
        return None
    phrase = _object(rest.split(" "))
    return (verb, phrase) if phrase else None


def _object(tokens: list[str]) -> str:
    """The object's words up to where the sentence goes on to something else."""
    kept: list[str] = []
    for token in tokens:
        bare = token.rstrip(",;:.")
        if bare.lower() in _CUT or bare.startswith("("):
            break
        if not _TOKEN.match(bare):
            return ""
        kept.append(bare)
        if bare != token:
            break
    if len(kept) > 2 and kept[0] in ("a", "the") and kept[1] == "list" and kept[2] == "of":
        kept = kept[3:]
    kept = [w for i, w in enumerate(kept) if w.lower() not in _VAGUE]
    while kept and kept[0].lower() in _DETERMINERS | {"of"}:
        kept = kept[1:]
    kept = _without_tail(kept)
    return _checked(kept)


def _without_tail(words: list[str]) -> list[str]:
    """Without what comes after a preposition, unless it is short and part of the name."""
    links = [i for i, word in enumerate(words) if word.lower() in _LINKS and i]
    for index in links:
        after = words[index + 1 :]
        short = words[index].lower() == "of" and 1 <= len(after) <= 3 and len(links) == 1
        if not short or index + len(after) > 5:
            words = words[:index]
            break
    while words and words[-1].lower() in _LINKS | _DETERMINERS | _CUT:
        words = words[:-1]
    return words


def _checked(words: list[str]) -> str:
    if not 1 <= len(words) <= 6 or words[0].lower() in _LINKS:
        return ""
    words = [part for word in words for part in _lowered(word).split(" ")]
    while len(words) > 2 and words[:2] == ["navigation", "property"]:
        words = words[2:]
    phrase = " ".join(words)
    head = object_head(phrase)
    if (head.lower() in _HOLLOW and len(words) == 1) or len(phrase) > 48 or len(head) < 3:
        return ""
    if words[0] in CLASS_OF and len(words) == 1:
        return ""
    return phrase


def _lowered(word: str) -> str:
    """Plain words for a CamelCase name; an abbreviation or a brand stays as it is written."""
    if word.lower().removesuffix("s").removesuffix("'") in _BRANDS or word.rstrip("s'").isupper():
        return word
    return " ".join(words_of(word)) if any(map(str.isupper, word[1:])) else word.lower()


def _from_name(name: str) -> tuple[str, str] | None:
    words = words_of(name)
    if not 2 <= len(words) <= 5 or any(w.isdigit() or len(w) == 1 for w in words):
        return None
    if words[0] in CLASS_OF:
        verb, rest = words[0], words[1:]
    elif words[-1] in CLASS_OF:
        verb, rest = words[-1], words[:-1]
    else:
        return None
    while len(rest) > 1 and rest[0] in CLASS_OF and verb in ("get", "post", "patch"):
        verb, rest = rest[0], rest[1:]
    if any(
        word in _CUT | _LINKS
        or word in ("all", "by", "api", "controller")
        or (word in CLASS_OF and word not in ("order", "post", "report", "record", "set", "tag"))
        for word in rest
    ):
        return None
    if verb == "list" and not is_plural(rest[-1]):
        return None
    phrase = _checked(rest)
    return (verb, phrase) if phrase else None
