"""Tool conversations made from descriptions of public APIs.

`collect` reads the descriptions into operations, `Catalogue` indexes the operations of one split,
`make_conversation` writes one conversation on them, `make_dense` one of many requests.
"""

from openk2.synthesis.apis.archive import ArchiveError
from openk2.synthesis.apis.catalogue import Catalogue, CatalogueError, split_of
from openk2.synthesis.apis.collect import Tally, collect
from openk2.synthesis.apis.conversation import make_conversation
from openk2.synthesis.apis.dense import make_dense
from openk2.synthesis.apis.operation import Operation, read_operation

__all__ = [
    "ArchiveError",
    "Catalogue",
    "CatalogueError",
    "Operation",
    "Tally",
    "collect",
    "make_conversation",
    "make_dense",
    "read_operation",
    "split_of",
]
