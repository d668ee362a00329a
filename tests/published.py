"""The published config.json files of published.toml, put together."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

FACTS = tomllib.loads(
    (Path(__file__).parent / "architecture" / "published.toml").read_text(encoding="utf-8")
)


@cache
def record(name: str) -> dict[str, Any]:
    """A model's entry with what it inherits: `config` is the text network's fields."""
    own = FACTS[name]
    if "like" not in own:
        return own
    base = record(own["like"])
    config = {k: v for k, v in base["config"].items() if k not in own.get("without", ())}
    config |= own.get("config", {})
    # TOML has no null.
    config = {k: None if v == "null" else v for k, v in config.items()}
    merged = {**base, **own, "config": config}
    if "wrapper" in base or "wrapper" in own:
        merged["wrapper"] = base.get("wrapper", {}) | own.get("wrapper", {})
    return merged


def published_config(name: str) -> dict[str, Any]:
    """The model's config.json: of one with a vision tower, the text network is inside."""
    entry = record(name)
    config = dict(entry["config"])
    return {**entry["wrapper"], "text_config": config} if "wrapper" in entry else config
