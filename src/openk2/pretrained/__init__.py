"""A path or a built-in name -> weights, tokenizer, engine and chat, once for every command.

torch is imported when a model is opened, and not before.
"""

from openk2.pretrained.cache_plan import CachePlan, plan_cache
from openk2.pretrained.error import LocalModelError
from openk2.pretrained.folder import DEFAULT_MODEL, assets_folder, built_in_names, find_folder
from openk2.pretrained.model import LocalModel, open_model
from openk2.pretrained.stop_ids import read_stop_ids

__all__ = [
    "DEFAULT_MODEL",
    "CachePlan",
    "LocalModel",
    "LocalModelError",
    "assets_folder",
    "built_in_names",
    "find_folder",
    "open_model",
    "plan_cache",
    "read_stop_ids",
]
