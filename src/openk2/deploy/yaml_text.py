"""Values as YAML documents; scripts inside them stay readable."""

from collections.abc import Sequence
from typing import Any

import yaml


class LiteralDumper(yaml.SafeDumper):
    """Writes texts of several lines as they are, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Equal parts are written out each time."""
        return True


def write_text(dumper: LiteralDumper, text: str) -> yaml.Node:
    """A text, as a literal block if it has several lines."""
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


LiteralDumper.add_representer(str, write_text)


def yaml_text(documents: Sequence[Any], comment: str = "") -> str:
    """The documents, in the order of their keys, after a comment of one line."""
    body = yaml.dump_all(documents, Dumper=LiteralDumper, sort_keys=False, width=100)
    return f"# {comment}\n{body}" if comment else body
