"""All usable operations of folders and archives, each once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from openk2.synthesis.apis.archive import parse, read_sources
from openk2.synthesis.apis.botocore import is_botocore, read_botocore
from openk2.synthesis.apis.openapi import is_openapi, read_openapi
from openk2.synthesis.apis.operation import Operation


@dataclass
class Tally:
    """What came of the sources: documents read, broken ones, operations kept and seen again."""

    documents: int = 0
    broken: int = 0
    kept: int = 0
    repeated: int = 0
    providers: set[str] = field(default_factory=set)


def collect(paths: Iterable[Path], tally: Tally) -> Iterator[Operation]:
    """Yield the operations of every description under `paths`; JSON of other kinds is passed over.

    Two operations of a provider that do the same with the same parameters are one. Memory holds one
    document and eight bytes an operation. Raises ArchiveError for a path that is none.
    """
    seen: set[bytes] = set()
    for path in paths:
        for source in read_sources(path):
            for operation in _operations(source, tally):
                mark = _mark(operation)
                if mark in seen:
                    tally.repeated += 1
                    continue
                seen.add(mark)
                tally.kept += 1
                tally.providers.add(operation.provider)
                yield operation


def _operations(source: tuple[str, bytes], tally: Tally) -> list[Operation]:
    document = parse(source)
    if document is None:
        tally.broken += 1
        return []
    try:
        if is_openapi(document):
            found = list(read_openapi(document, source[0]))
        elif is_botocore(document):
            found = list(read_botocore(document))
        else:
            return []
    except (AttributeError, KeyError, TypeError, RecursionError):
        # A description that contradicts its own format: counted, and the rest is read.
        tally.broken += 1
        return []
    tally.documents += 1
    return found


def _mark(operation: Operation) -> bytes:
    names = sorted(field.name.lower() for field in operation.fields)
    deed = (operation.provider, operation.verb, operation.object.lower(), *names)
    return blake2b("\0".join(deed).encode(), digest_size=8).digest()
