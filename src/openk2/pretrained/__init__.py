"""A checkpoint folder or a built-in name -> a running model, for commands and `openk2.load`.

torch is imported when a model is opened, not before.
"""

from openk2.pretrained.cache_plan import CachePlan, plan_cache
from openk2.pretrained.error import LocalModelError
from openk2.pretrained.folder import DEFAULT_MODEL, assets_folder, built_in_names, find_folder
from openk2.pretrained.front import LoadedModel, load
from openk2.pretrained.model import LocalModel, WeightForm, WeightMemory, open_model
from openk2.pretrained.stop_ids import read_stop_ids

__all__ = [
    "DEFAULT_MODEL",
    "CachePlan",
    "LoadedModel",
    "LocalModel",
    "LocalModelError",
    "WeightForm",
    "WeightMemory",
    "assets_folder",
    "built_in_names",
    "find_folder",
    "load",
    "open_model",
    "plan_cache",
    "read_stop_ids",
]
