"""Sentences and words of English text, as IFEval counts them.

IFEval's own code counts sentences with NLTK's trained Punkt model, which NLTK downloads. This is
Punkt's rule with a short list of abbreviations in place of the trained one, which has no `e.g.`,
`i.e.` or `etc.`: a mark `.`, `?` or `!` followed by a space, a quote or a bracket ends a sentence,
unless the full stop belongs to an abbreviation or an initial, or a word in lower case follows an
ellipsis or a number. benchmarks/agreement.md compares the two.
"""

import re

_ABBREVIATIONS = frozenset(
    (  # noqa: SIM905
        "mr mrs ms dr prof st gen col lt maj sen rep vs sr jr inc ltd co corp jan feb aug sept sep"
        " oct nov dec u.s u.k u.n a.m p.m ph.d ft ave"
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
    r"(?<![.!?])(?P<mark>[.!?]++)"
    r"(?:[\"'”’)\]}*_]*+(?=\s+(?P<next>\S{1,40}))"
    r"|(?=[\"'(\[{)\]};:*@]++(?P<glued>[^\s.?!])))"  # "yes.", "no."[2]
)
_WORD = re.compile(r"[^\s?!]*$")
MAX_WORD = 40  # characters; an abbreviation is shorter
_TOKEN = re.compile(r"[^\s,:;@#$%&?!\[\](){}<>\"“”«»]+")
_CONTRACTION = re.compile(
    r"(?:.+(?:n't|'(?:s|m|d|ll|re|ve))|cannot|gonna|gotta|gimme|lemme|wanna)\.?", re.I
)


def count_sentences(text: str) -> int:
    """Sentences of a text; 0 only if it is blank."""
    text = text.strip()
    return 1 + sum(_ends(match) for match in _END.finditer(text)) if text else 0


def _ends(match: re.Match[str]) -> bool:
    """Whether a sentence ends at a mark that a space, a quote or a bracket follows."""
    mark, following = match["mark"], match["next"] or match["glued"]
    starts = following[0].isupper()
    starter = starts and re.split(r"\W", following, maxsplit=1)[0].lower() in _STARTERS
    if "?" in mark or "!" in mark:
        return True
    if mark != ".":  # an ellipsis
        return starts
    before = match.string[max(0, match.start() - MAX_WORD) : match.start()]
    last = _WORD.search(before)
    word = (last.group() if last else "").lstrip("\"'“‘([{*_").lower()
    if word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha()):
        return starter
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
