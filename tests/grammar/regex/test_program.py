"""Classes of characters: what an alphabet reads of a set is the set."""

import pytest

from openk2.grammar.regex.characters import Characters
from openk2.grammar.regex.program import Alphabet

LETTERS: Characters = ((97, 122),)
VOWELS: Characters = ((97, 97), (101, 101), (105, 105))
APART: Characters = ((48, 57), (95, 95), (0x4E00, 0x9FFF))


@pytest.mark.parametrize("characters", [LETTERS, VOWELS, APART])
def test_a_set_cut_into_classes_comes_back_in_as_few_ranges(characters: Characters) -> None:
    alphabet = Alphabet([LETTERS, VOWELS, APART])
    assert alphabet.characters(alphabet.mask(characters)) == characters
