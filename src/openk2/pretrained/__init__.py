"""A folder, a built-in name or a model of the hub -> a running model, for commands and `load`.

torch is imported when a model is opened, not before.
"""

from openk2.pretrained.cache_plan import CachePlan, plan_cache
from openk2.pretrained.chat_format import find_format
from openk2.pretrained.error import LocalModelError
from openk2.pretrained.folder import (
    DEFAULT_MODEL,
    assets_folder,
    built_in_names,
    find_folder,
    hub_name,
)
from openk2.pretrained.front import LoadedModel, load
from openk2.pretrained.hub import HubName, fetch_config, fetch_model, folder_name
from openk2.pretrained.model import LocalModel, open_model
from openk2.pretrained.weight_memory import WeightForm, WeightMemory, memory_check

__all__ = [
    "DEFAULT_MODEL",
    "CachePlan",
    "HubName",
    "LoadedModel",
    "LocalModel",
    "LocalModelError",
    "WeightForm",
    "WeightMemory",
    "assets_folder",
    "built_in_names",
    "fetch_config",
    "fetch_model",
    "find_folder",
    "find_format",
    "folder_name",
    "hub_name",
    "load",
    "memory_check",
    "open_model",
    "plan_cache",
]
