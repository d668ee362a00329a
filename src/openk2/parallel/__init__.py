"""Run the one-device model on many processes: expert, pipeline and ZeRO parallelism (report 2.4).

The network is not written for it: it is sharded from outside.
"""

from openk2.parallel.fleet import ALONE, Fleet, FleetError
from openk2.parallel.layout import Layout
from openk2.parallel.pipeline import Pipeline, bubble_fraction, check_micro_batches
from openk2.parallel.sharding import HeldRows, Sharding, shard
from openk2.parallel.stage import Part, cut, keep_parts, parts_of

__all__ = [
    "ALONE",
    "Fleet",
    "FleetError",
    "HeldRows",
    "Layout",
    "Part",
    "Pipeline",
    "Sharding",
    "bubble_fraction",
    "check_micro_batches",
    "cut",
    "keep_parts",
    "parts_of",
    "shard",
]
