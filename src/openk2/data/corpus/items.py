"""The documents of an item."""

from collections.abc import Iterator

from openk2.data.corpus.plan import Item
from openk2.data.corpus.recipe import CorpusRecipe
from openk2.data.sources import TextDocument


def item_texts(recipe: CorpusRecipe, item: Item) -> Iterator[TextDocument]:
    """The documents of an item in order, those without a visible character left out.

    A document's place in this order is its number: signatures and shards agree on it.
    """
    source = recipe.sources[item.source].open()
    for span in item.spans:
        yield from (text for text in source.read(span) if not text.text.isspace() and text.text)
