"""What an automaton says of patterns, beside Python's `re` and all short strings."""

import itertools
import json
import re
import time

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from openk2.grammar.regex import Language, PatternError, string_terminal
from openk2.grammar.regex.characters import NO_DIGITS, NO_WORD

TEXTS = ["".join(letters) for n in range(5) for letters in itertools.product('ab"', repeat=n)]

_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", '"', "", r"\w", r"\W", "c", r"\x61"])
_ASSERTIONS = st.sampled_from(
    ["^", "$", r"\b", r"\B", "(?=a)", "(?!a)", "(?!.*b)", "(?=..$)", "(?!^a)"]
)
_QUANTIFIERS = st.sampled_from(["", "*", "+", "?", "{2}", "{1,2}", "{0,1}", "{1,}", "*?"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.tuples(inner, _QUANTIFIERS).map(lambda pair: f"(?:{pair[0]}){pair[1]}")
    either = st.tuples(inner, inner).map(lambda pair: f"({'|'.join(pair)})")
    look = st.tuples(st.sampled_from(["(?=", "(?!"]), inner).map(
        lambda pair: f"{pair[0]}{pair[1]})"
    )
    return st.one_of(st.lists(inner, min_size=1, max_size=3).map("".join), group, either, look)


PATTERNS = st.recursive(
    st.one_of(
        st.tuples(_ATOMS, _QUANTIFIERS).map(lambda pair: pair[0] and "".join(pair)), _ASSERTIONS
    ),
    _grown,
    max_leaves=7,
)


def found(pattern: str, text: str) -> bool:
    """What Python's `re` says; its \\w knows the same letters here."""
    if not text:  # Where it finds no \B before 3.14, and ECMA-262 does.
        pattern = pattern.replace(r"\B", "")
    return re.search(pattern, text, re.ASCII) is not None


def accepts(matcher: LLMatcher, text: str) -> bool:
    own = matcher.deep_copy()
    data = json.dumps(text, ensure_ascii=False).encode()
    return own.try_consume_tokens(list(data)) == len(data) and own.is_accepting()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(pattern=PATTERNS)
def test_a_pattern_holds_what_pythons_does(pattern: str) -> None:
    language = Language([pattern])
    assert [t for t in TEXTS if language.holds(t)] == [t for t in TEXTS if found(pattern, t)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    some=st.lists(PATTERNS, max_size=2),
    others=st.lists(PATTERNS, max_size=2),
    least=st.integers(0, 3),
    more=st.integers(0, 2),
)
def test_the_shortest_of_several_is_the_first_of_all_texts(
    some: list[str], others: list[str], least: int, more: int
) -> None:
    language = Language(some, others)
    held = [
        text
        for text in TEXTS
        if all(found(pattern, text) for pattern in some)
        and not any(found(pattern, text) for pattern in others)
        and least <= len(text) <= least + more
    ]
    shortest = language.shortest(least, least + more)
    if shortest is not None:
        assert language.holds(shortest)
        assert least <= len(shortest) <= least + more
        # The automaton knows more letters than the texts.
        assert not held or len(shortest) <= len(held[0])
    else:
        assert not held


@settings(max_examples=40, deadline=None, derandomize=True)
@example(pattern="^(^a|b)ab$", other="c")  # what follows an item with an assertion in it
@given(pattern=PATTERNS, other=PATTERNS)
def test_the_written_terminal_is_the_language(pattern: str, other: str) -> None:
    try:
        terminal = string_terminal([pattern], [other], names=["ab"])
    except PatternError as error:
        assume("too long" not in str(error))
        raise
    language = Language([pattern], [other])
    lark = f"start: TEXT\nTEXT: {terminal}"
    matcher = LLMatcher(LLTokenizer("byte"), LLMatcher.grammar_from_lark(lark), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    wanted = [text for text in TEXTS if language.holds(text) and text != "ab"]
    assert [text for text in TEXTS if accepts(matcher, text)] == wanted


@pytest.mark.parametrize(
    ("pattern", "shortest"),
    [
        ("ab", "ab"),
        (r"\.md$", ".md"),
        ("(foo|bar)", "foo"),
        (r"\d{4}-\d{2}-\d{2}", "0000-00-00"),
        (r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "a@a.a"),
        (
            r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+"
            r"[A-Za-z]{2,}$",
            "a@a.aa",
        ),
        (r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", "0"),
        (r"^(?=.*[a-z])(?=.*[A-Z])(?=.*\d).{8,}$", "aaaaaa0A"),
        (r"^((?!ab)[ab]){3}b$", "bbbb"),
        (r"(?=a)b", None),
        (r"^(a|b)*a(a|b){40}$", "a" * 41),
        (r"^(x|.*\.(png|jpg))$", "x"),
        (r"^(a|b|c|d|e|f){500}_z$", "a" * 500 + "_z"),
        (r"^\p{Lu}\u{1F600}\/\-$", "A\U0001f600/-"),
        (r"(?i)^ÄB$", "ÄB"),
        ("^[\x01]$", None),
    ],
)
def test_everyday_patterns_have_the_shortest_text_one_expects(
    pattern: str, shortest: str | None
) -> None:
    assert Language([pattern]).shortest() == shortest


def test_lengths_and_complements_are_exact() -> None:
    assert Language(["^a+$"]).shortest(2000) == "a" * 2000
    assert Language(["^a{3}$"]).shortest(4) is None
    assert Language(["^x_"], ["^x_[^a]*$", "a"]).shortest() is None
    assert Language([r"^\S+$"], [r"\w"]).shortest() == "-"


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "without"),
        ("a)", "too many"),
        ("[a", "not complete"),
        ("*", "after nothing"),
        (r"(a)\1", "refers to a group"),
        ("(?<=a)b", "look-behind"),
        (r"\p{Greek}", "not supported"),
        ("a{3,2}", "more to less"),
        ("[z-a]", "more to less"),
        (r"\q", "not supported"),
        ("(" * 100_000, "characters"),
        ("(" * 1_000, "deeper"),
        ("((a{1,1000}){1,1000}){1,1000}b", "too large"),
        ("^" + "a?" * 60_000 + "$", "characters"),
        ("^" + "a?" * 6_000 + "$", "too large"),
        ("^(a?){9000}b$", "too large"),
        (r"^(?=(a|b)*a(a|b){40}$)(?=(a|b)*b(a|b){40}$)[ab]*c$", "too large"),
    ],
)
def test_what_cannot_be_decided_is_refused_soon(pattern: str, problem: str) -> None:
    started = time.process_time()
    with pytest.raises(PatternError, match=problem):
        Language([pattern]).shortest()
    assert time.process_time() - started < 3


@pytest.mark.parametrize("name", ["d", "w"])
def test_what_a_negated_set_still_holds_no_reader_takes_for_one(name: str) -> None:
    kept = {"d": NO_DIGITS, "w": NO_WORD}[name]
    points = [point for low, high in kept for point in range(low, high + 1)]
    assert not [hex(point) for point in points if re.match(rf"\{name}", chr(point))]
    assert not Language([rf"^\{name.upper()}$"]).holds("٣")
    assert Language([rf"^[^\{name}]$"]).holds("→")
    # A pattern that may not be found keeps away all that some reader might take for one.
    assert not Language([], [rf"\{name}"]).holds("٣")
    assert Language([], [rf"\{name}"]).holds("→ -")
