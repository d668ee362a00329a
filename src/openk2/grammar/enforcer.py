"""`Enforcer`: demands in, token masks out. Compiled schemas are cached."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from openk2.chat import Tokenizer
from openk2.generation import MaskWork
from openk2.grammar.course import (
    CallsOrContent,
    ContentCourse,
    Course,
    CourseMask,
    ToolSection,
    ValueGrammar,
)
from openk2.grammar.demand import (
    ANY_OBJECT,
    DeclaredTool,
    Demand,
    JsonContent,
    ToolCalls,
)
from openk2.grammar.error import GrammarError
from openk2.grammar.matcher import TokenVocabulary
from openk2.grammar.schema import leave_formats, loosen
from openk2.grammar.schema_cache import SchemaCache
from openk2.grammar.writing import SchemaWriter, schema_writers

logger = logging.getLogger(__name__)

# Bytes that compiled schemas, and errors, may take; the least recently used go first.
MAX_CACHED_BYTES = 256 * 2**20
MAX_SCHEMA_CHARACTERS = 500_000
# Keywords of one schema that are left to the model; with more of them all of it is.
MAX_LEFT = 16


class Enforcer:
    """Makes masks for one tokenizer's outputs. Every method may be called from any thread.

    The first schema also builds the vocabulary's trie: 0.1 s for 4,096 tokens, seconds for 163,840.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._vocabulary = TokenVocabulary(tokenizer)
        self._cache: SchemaCache[ValueGrammar | GrammarError] = SchemaCache(MAX_CACHED_BYTES)
        self._loosened: SchemaCache[_Loosened] = SchemaCache(MAX_CACHED_BYTES // 4)
        self._keywords_left = 0

    def mask(self, demand: Demand, *, max_tokens: int, first_number: int = 0) -> CourseMask:
        """A fresh mask for one output, as `masks` makes them."""
        return self.masks(demand, max_tokens=max_tokens, first_number=first_number)()

    def masks(
        self,
        demand: Demand,
        *,
        max_tokens: int,
        first_number: int = 0,
        work: MaskWork | None = None,
    ) -> Callable[[], CourseMask]:
        """Makes a fresh mask for each output; the schemas are compiled here, once.

        max_tokens: how many ids the output may have, including the stop token. first_number: how
        many calls the conversation already has. work: counts what new schemas take.
        Raises GrammarError if a schema cannot be enforced or the shortest output does not fit, and
        what `MaskWork.check` raises.
        """
        begin = self._course(demand, first_number, work or MaskWork())
        shortest = begin().shortest()
        if shortest > max_tokens:
            raise GrammarError(
                f"the shortest valid output has {shortest} tokens, max_tokens is {max_tokens}",
                shortest=shortest,
            )
        return lambda: CourseMask(self._vocabulary, begin())

    def shortest(self, demand: Demand, *, first_number: int = 0) -> int:
        """How many ids the shortest valid output has, with the stop token; 1 if calls are optional.

        Raises GrammarError if a schema cannot be enforced.
        """
        return self._course(demand, first_number, MaskWork())().shortest()

    def _course(self, demand: Demand, first_number: int, work: MaskWork) -> Callable[[], Course]:
        """Begins a course for each output."""
        vocabulary = self._vocabulary
        if isinstance(demand, JsonContent):
            content = self._grammar(demand, work)
            return lambda: ContentCourse(vocabulary, content)
        optional_content = None if demand.required else demand.content
        section = partial(
            ToolSection,
            vocabulary,
            self._grammars(demand, work),
            required=demand.required or optional_content is not None,
            parallel=demand.parallel,
            first_number=first_number,
        )
        if optional_content is None:
            return section
        content = self._grammar(optional_content, work)
        return lambda: CallsOrContent(vocabulary, section(), ContentCourse(vocabulary, content))

    def _grammars(self, demand: ToolCalls, work: MaskWork) -> Mapping[str, ValueGrammar]:
        if not demand.tools:
            raise GrammarError("no tool is declared, so none can be called: declare one")
        grammars: dict[str, ValueGrammar] = {}
        for tool in demand.tools:
            if tool.name in grammars:
                raise GrammarError("is declared twice", tool=tool.name)
            try:
                grammars[tool.name] = self._grammar(tool, work)
            except GrammarError as error:
                raise error.of_tool(tool.name) from None
        return grammars

    def stats(self) -> Mapping[str, float]:
        """Counts for metrics: keywords of schemas that were left to the model, in all requests."""
        return {"schema_keywords_left": self._keywords_left}

    def _grammar(self, wanted: DeclaredTool | JsonContent, work: MaskWork) -> ValueGrammar:
        """The compiled schema of arguments or content."""
        try:
            # Not sorted: properties are generated in the order of the schema.
            text = json.dumps(wanted.schema, allow_nan=False)
        except RecursionError:
            raise GrammarError("nests too deep") from None
        except (TypeError, ValueError) as error:
            raise GrammarError(f"is not JSON: {error}") from None
        if wanted.strict:
            return self._compiled(text, work, wanted)
        loosened = self._loosened.get(_key(text, wanted)) or self._loosen(text, work, wanted)
        self._keywords_left += len(loosened.left)
        return loosened.grammar

    def _compiled(
        self, text: str, work: MaskWork, wanted: DeclaredTool | JsonContent
    ) -> ValueGrammar:
        """The grammar of a schema's JSON, or its error as it was raised at first."""
        known = self._cache.get(text)
        if known is None:
            with schema_writers().writer() as writer:
                # Another thread may have compiled it while this one waited.
                known = self._cache.get(text) or self._compile(text, work, wanted, writer)
        if isinstance(known, GrammarError):
            raise known.again()
        return known

    def _compile(
        self, text: str, work: MaskWork, wanted: DeclaredTool | JsonContent, writer: SchemaWriter
    ) -> ValueGrammar | GrammarError:
        """The grammar or the error of a schema's JSON; kept in the cache."""
        work.check()
        began = time.thread_time() + writer.seconds
        try:
            if len(text) > MAX_SCHEMA_CHARACTERS:
                raise GrammarError(
                    f"has {len(text):,} characters: at most {MAX_SCHEMA_CHARACTERS:,} may be"
                )
            grammar = ValueGrammar(self._vocabulary, writer.write(text))
        except GrammarError as error:
            self._cache.put(text, error, 2_000)
            return error
        finally:
            field = "tools" if isinstance(wanted, DeclaredTool) else "response_format"
            work.spend(field, time.thread_time() + writer.seconds - began)
        self._cache.put(text, grammar, grammar.size)
        return grammar

    def _loosen(self, text: str, work: MaskWork, wanted: DeclaredTool | JsonContent) -> "_Loosened":
        """As much of a schema as can be enforced; what cannot is named once in the log."""
        left: list[str] = []
        grammar: ValueGrammar | None = None
        loosened = json.loads(text) if len(text) <= MAX_SCHEMA_CHARACTERS else None
        owner, anything = "response_format", json.dumps(True)
        if isinstance(wanted, DeclaredTool):
            owner, anything = f"tool {wanted.name!r:.80}", json.dumps(ANY_OBJECT)
            leave_formats(loosened)
        while grammar is None and loosened is not None:
            try:
                grammar = self._compiled(json.dumps(loosened), work, wanted)
            except GrammarError as error:
                taken = loosen(loosened, error) if len(left) < MAX_LEFT else None
                loosened = None if taken is None else loosened
                left += [] if taken is None else [taken]
        if grammar is None:
            left, grammar = ["#"], self._compiled(anything, work, wanted)
        if left:
            logger.warning("%s: left to the model: %.500s", owner, ", ".join(left))
        found = _Loosened(grammar, tuple(left))
        # The grammar itself is counted where it is kept.
        self._loosened.put(_key(text, wanted), found, 200)
        return found


def _key(text: str, wanted: DeclaredTool | JsonContent) -> str:
    """Arguments are loosened more than content with the same schema."""
    return f"{type(wanted).__name__} {text}"


@dataclass(frozen=True)
class _Loosened:
    """A schema's grammar. left: places of the keywords that it does not enforce."""

    grammar: ValueGrammar
    left: tuple[str, ...]
