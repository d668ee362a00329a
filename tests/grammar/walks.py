"""Random walks through values: uniform tokens, mostly structure, or long strings."""

import random
from collections.abc import Iterator

import numpy as np

from openk2.chat import Tokenizer
from openk2.grammar.course.open_value import OpenValue
from openk2.grammar.course.value_grammar import ValueGrammar
from openk2.grammar.matcher.vocabulary import TokenVocabulary


def states(
    vocabulary: TokenVocabulary, tokenizer: Tokenizer, grammar: ValueGrammar, wanted: int, seed: int
) -> Iterator[tuple[OpenValue, list[int]]]:
    """So many states of values of one grammar, with the ids that led there."""
    chooser = random.Random(seed)
    structural = np.zeros(tokenizer.vocab_size, dtype=bool)
    structural[[i for i, t in enumerate(tokenizer.tokens) if set(t) & set(b"{}[],:")]] = True
    words = np.zeros(vocabulary.words, dtype=np.int32)
    while wanted > 0:
        value, ids = OpenValue(vocabulary, grammar), list[int]()
        manner = chooser.choice(["uniform", "structure", "strings"])
        for _ in range(chooser.choice([5, 20, 60, 150])):
            value.fill(words)
            allowed = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
            if not len(allowed):
                break
            chosen = int(allowed[chooser.randrange(len(allowed))])
            if manner != "uniform" and chooser.random() < 0.7:
                preferred = allowed[structural[allowed] == (manner == "structure")]
                chosen = int(chooser.choice(preferred)) if len(preferred) else chosen
            value.take(chosen)
            ids.append(chosen)
            yield value, ids
            wanted -= 1
