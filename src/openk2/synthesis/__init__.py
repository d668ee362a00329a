"""Tool conversations made by rule: tools, requests, calls, results, answers, all seeded.

`generate` is the door. The report's pipeline (section 3.1.1) goes from tool specs to tasks to
trajectories; here each stage is a small grammar, so that every call is right by construction.
"""

from openk2.synthesis.apis import ArchiveError, Catalogue, CatalogueError, Tally, collect
from openk2.synthesis.generate import generate

__all__ = ["ArchiveError", "Catalogue", "CatalogueError", "Tally", "collect", "generate"]
