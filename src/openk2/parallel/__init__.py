"""Makes the one-device model run on many, from outside."""

from openk2.parallel.fleet import ALONE, Fleet, FleetError
from openk2.parallel.layout import Layout
from openk2.parallel.sharding import Sharding, shard

__all__ = ["ALONE", "Fleet", "FleetError", "Layout", "Sharding", "shard"]
