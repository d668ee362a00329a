"""A corpus: documents of many sources, without near-duplicates, as shards of packed rows.

`prepare_corpus` runs a recipe; each of its steps is a map over files or items (`openk2.cluster`).
"""

from openk2.data.corpus.prepare import CorpusProgress, prepare_corpus
from openk2.data.corpus.recipe import CorpusRecipe, Duplicates, SourceTable
from openk2.data.corpus.summary import CorpusSummary, DomainSummary, read_summary

__all__ = [
    "CorpusProgress",
    "CorpusRecipe",
    "CorpusSummary",
    "DomainSummary",
    "Duplicates",
    "SourceTable",
    "prepare_corpus",
    "read_summary",
]
