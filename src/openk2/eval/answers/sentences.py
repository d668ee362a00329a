"""Sentences and words of English text, as IFEval counts them.

IFEval's own code counts sentences with NLTK's Punkt model, which is a download and not in any
package. This is Punkt's rule with a short list of abbreviations in place of the trained one: a mark
`.`, `?` or `!` followed by a space ends a sentence, unless the full stop belongs to an abbreviation
or an initial, or a word in lower case follows an ellipsis or a number.
"""

import re

_TITLES = frozenset(
    (  # noqa: SIM905
        "mr mrs ms dr prof st rev gen col capt lt sgt maj hon gov sen rep fig no vs"
    ).split()
)
_ABBREVIATIONS = _TITLES | frozenset(
    (  # noqa: SIM905
        "sr jr etc e.g i.e inc ltd co corp vol jan feb aug sept sep oct nov dec u.s u.k u.n"
        " a.m p.m ph.d dept approx mt ft al cf ave blvd rd"
    ).split()
)
# Words that are usually in lower case: in upper case they start a sentence, after anything.
_STARTERS = frozenset(
    (  # noqa: SIM905
        "the a an it its this that these those he she they we you his her their our my in on"
        " at by for from to with as if is are was were there here what when where why how who"
        " and but or so then however also all some many most one no not please first second"
        " third finally while after before because since although"
    ).split()
)
_END = re.compile(
    r"(?P<word>[^\s.?!]*+(?:\.[^\W_][^\s.?!]*+)*+)(?P<mark>[.!?]++)[\"'”’)\]}*_]*+(?=\s+(?P<next>\S{1,40}))"
)
_TOKEN = re.compile(r"[^\s,:;@#$%&?!\[\](){}<>\"“”«»]+")
_CONTRACTION = re.compile(
    r"(?:.+(?:n't|'(?:s|m|d|ll|re|ve))|cannot|gonna|gotta|gimme|lemme|wanna)\.?", re.I
)


def count_sentences(text: str) -> int:
    """Sentences of a text; 0 only if it is blank."""
    text = text.strip()
    return 1 + sum(_ends(match) for match in _END.finditer(text)) if text else 0


def _ends(match: re.Match[str]) -> bool:
    """Whether a sentence ends at a mark that a space follows."""
    mark, following = match["mark"], match["next"]
    starts = following[0].isupper()
    starter = starts and re.split(r"\W", following, maxsplit=1)[0].lower() in _STARTERS
    if "?" in mark or "!" in mark:
        return True
    if mark != ".":  # an ellipsis
        return starts
    word = match["word"].lstrip("\"'“‘([{*_").lower()
    if word in _TITLES or (len(word) == 1 and word.isalpha()):
        return starter
    if word in _ABBREVIATIONS:
        return starter or (starts and word == "etc")
    if re.fullmatch(r"[\d.,]+", word):  # "1. First" has a sentence of its own, "1. apples" has not
        return not following[0].islower()
    return True


def count_capital_words(text: str) -> int:
    """Words all in capitals, as IFEval's tokenizer cuts them: `DON'T` and `CANNOT` are two."""
    capital = [word for word in _TOKEN.findall(text) for word in word.split("--") if word.isupper()]
    return len(capital) + sum(_CONTRACTION.fullmatch(word) is not None for word in capital)


def count_words(text: str) -> int:
    r"""Runs of `\w`, as IFEval counts words."""
    return len(re.findall(r"\w+", text))
