"""`Enforcer`: demands in, token masks out. Compiled schemas are cached."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from openk2.chat import Tokenizer
from openk2.grammar.course import ContentCourse, Course, CourseMask, ToolSection, ValueGrammar
from openk2.grammar.demand import Demand, JsonContent, JsonSchema, ToolCalls
from openk2.grammar.error import GrammarError
from openk2.grammar.matcher import TokenVocabulary

# How many compiled schemas the cache holds, some 100 kB each; the least recently used go first.
MAX_CACHED = 512
MAX_SCHEMA_CHARACTERS = 500_000


class Enforcer:
    """Makes masks for one tokenizer's outputs. Every method may be called from any thread.

    The first schema also builds the vocabulary's trie: 0.1 s for 4,096 tokens, seconds for 163,840.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._vocabulary = TokenVocabulary(tokenizer)
        self._cache: OrderedDict[str, ValueGrammar] = OrderedDict()
        self._lock = Lock()

    def mask(self, demand: Demand, *, max_tokens: int, first_number: int = 0) -> CourseMask:
        """A fresh mask for one output.

        max_tokens: how many ids the output may have, including the stop token. first_number: how
        many calls the conversation already has.
        Raises GrammarError if a schema cannot be enforced or the shortest output does not fit.
        """
        course = self._course(demand, first_number)
        shortest = course.shortest()
        if shortest > max_tokens:
            raise GrammarError(
                f"the shortest valid output has {shortest} tokens, max_tokens is {max_tokens}",
                shortest=shortest,
            )
        return CourseMask(self._vocabulary, course)

    def shortest(self, demand: Demand, *, first_number: int = 0) -> int:
        """How many ids the shortest valid output has, with the stop token; 1 if calls are optional.

        Raises GrammarError if a schema cannot be enforced.
        """
        return self._course(demand, first_number).shortest()

    def _course(self, demand: Demand, first_number: int) -> Course:
        if isinstance(demand, JsonContent):
            return ContentCourse(self._vocabulary, self._grammar(demand.schema))
        return ToolSection(
            self._vocabulary,
            self._grammars(demand),
            required=demand.required,
            parallel=demand.parallel,
            first_number=first_number,
        )

    def _grammars(self, demand: ToolCalls) -> Mapping[str, ValueGrammar]:
        if not demand.tools:
            raise GrammarError("no tool is declared, so none can be called: declare one")
        grammars: dict[str, ValueGrammar] = {}
        for tool in demand.tools:
            if tool.name in grammars:
                raise GrammarError("is declared twice", tool=tool.name)
            try:
                grammars[tool.name] = self._grammar(tool.schema)
            except GrammarError as error:
                raise error.of_tool(tool.name) from None
        return grammars

    def _grammar(self, schema: JsonSchema) -> ValueGrammar:
        try:
            # Not sorted: properties are generated in the order of the schema.
            text = json.dumps(schema, allow_nan=False)
        except RecursionError:
            raise GrammarError("nests too deep") from None
        except (TypeError, ValueError) as error:
            raise GrammarError(f"is not JSON: {error}") from None
        if len(text) > MAX_SCHEMA_CHARACTERS:
            raise GrammarError(
                f"has {len(text):,} characters: at most {MAX_SCHEMA_CHARACTERS:,} may be"
            )
        with self._lock:
            if text in self._cache:
                self._cache.move_to_end(text)
                return self._cache[text]
        grammar = ValueGrammar(self._vocabulary, json.loads(text))
        with self._lock:
            self._cache[text] = grammar
            while len(self._cache) > MAX_CACHED:
                self._cache.popitem(last=False)
        return grammar
