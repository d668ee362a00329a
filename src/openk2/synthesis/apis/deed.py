"""What an operation does, as a verb and its object: "Lists all invoices of ..." is list, invoices.

An operation whose description and name give no such pair in plain English is of no use here.
"""

import re

from openk2.synthesis.apis.verbs import BASE_OF, CLASS_OF
from openk2.synthesis.apis.wording import is_plural, word_set, words_of

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
_CUT = word_set(
    "that which if when where by using based via so as given identified according including "
    "matching whose who used into through per without under than then until because while after "
    "before within having belonging related associated available owned and or but along "
    "containing regarding across during you we only that's what's it's"
)
_LINKS = word_set("for in of from to on with at about against between")
_DETERMINERS = word_set(
    "a an the all any every each some this these that those one new your our my their its"
)
_VAGUE = word_set(
    "specified given requested provided following single particular specific existing individual "
    "supplied certain multiple several current"
)
_TRAILING = word_set("made pointing corresponding")
_NOUNS = word_set("feed seed bed speed need embed breed family supply reply assembly anomaly")
_LISTS = word_set("list lists array collection set page")
_HOLLOW = word_set(
    "it them data object objects item items resource resources entity entities request response "
    "value information info result results thing things instance method endpoint api operation "
    "url call example test sample id ids type types list lists detail details more one all"
)
_BRANDS = word_set("github youtube onenote sharepoint openapi bigquery paypal linkedin")
# A name with such a word among its object's is more than a verb and a noun.
_NOT_OBJECT = (_CUT | _LINKS | {"all", "api", "controller"} | CLASS_OF.keys()) - word_set(
    "order post report record set tag request schedule export import"
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
        if bare.lower() in _VAGUE and any(word.lower() in _LINKS for word in kept):
            # "loans of the specified member": the member is an argument, not part of the object.
            break
        kept.append(bare)
        if bare != token:
            break
    kept = [word for word in kept if word.lower() not in _VAGUE]
    while kept and (
        kept[0].lower() in _DETERMINERS or (kept[0].lower() in _LISTS and "of" in kept[1:2])
    ):
        kept = kept[2:] if kept[0].lower() in _LISTS else kept[1:]
    return _checked(_without_tail(kept))


def _without_tail(words: list[str]) -> list[str]:
    """Without what comes after a preposition, unless it is short and part of the name."""
    links = [i for i, word in enumerate(words) if word.lower() in _LINKS and i]
    for index in links:
        after = words[index + 1 :]
        short = words[index].lower() == "of" and 1 <= len(after) <= 3 and len(links) == 1
        if not short or index + len(after) > 5:
            words = words[:index]
            break
    while words and (words[-1].lower() in _LINKS | _DETERMINERS | _CUT or _trails(words)):
        words = words[:-1]
    return words


def _trails(words: list[str]) -> bool:
    """Whether the last word only qualifies what stands before it: "requests made"."""
    return len(words) > 1 and _qualifies(words[-1].lower())


def _qualifies(word: str) -> bool:
    """Whether a word's form is a participle's or an adverb's."""
    return word in _TRAILING or (word.endswith(("ed", "ly")) and word not in _NOUNS)


def _checked(words: list[str]) -> str:
    if not 1 <= len(words) <= 6 or words[0].lower() in _LINKS:
        return ""
    words = [part for word in words for part in _lowered(word).split(" ")]
    while len(words) > 2 and words[:2] == ["navigation", "property"]:
        words = words[2:]
    if len(words) > 1 and words[-1] in ("object", "resource", "entity"):
        words = words[:-1]
    if any(w in ("a", "an", "the") and words[i - 1] not in _LINKS for i, w in enumerate(words)):
        return ""
    if len({word.lower() for word in words}) < len(words):
        return ""
    phrase = " ".join(words)
    head = object_head(phrase)
    if (
        (head.lower() in _HOLLOW and (len(words) == 1 or "of" in words))
        or len(phrase) > 48
        or len(head) < 3
    ):
        return ""
    if len(words) == 1 and (words[0] in CLASS_OF or _qualifies(words[0].lower())):
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
    # "post" and "patch" are then no deeds but methods of HTTP.
    if verb in ("post", "patch") or any(word in _NOT_OBJECT for word in rest):
        return None
    if verb == "list" and not is_plural(rest[-1]):
        return None
    phrase = _checked(rest)
    return (verb, phrase) if phrase else None
