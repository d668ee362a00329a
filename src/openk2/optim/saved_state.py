"""Load an optimizer's state dict: checked against the parameters, and dtypes kept.

torch's own `load_state_dict` goes by position, checks no shape, accepts missing entries and casts
each tensor to its parameter's dtype, so that a bfloat16 parameter's float32 momentum is narrowed.
"""

import copy
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from openk2.optim.names import plain_name
from openk2.optim.shards import is_sharded

# In a saved group: how many parameters had no state, because none has had a gradient. It tells a
# lost entry from one that never was.
WITHOUT_STATE = "without_state"
# What a parameter's state holds, and what it may hold besides.
STATE_OF = {
    "muon": (("momentum",), ("step",)),
    "adamw": (("step", "exp_avg", "exp_avg_sq"), ()),
}


def pack(optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
    """torch's state dict with WITHOUT_STATE in each group, and dtypes by name ("bfloat16").

    torch.distributed.checkpoint gathers or moves no state dict that holds a `torch.dtype`.
    """
    for group in state_dict["param_groups"]:
        for key, value in group.items():
            if isinstance(value, torch.dtype):
                group[key] = str(value).removeprefix("torch.")
        group[WITHOUT_STATE] = sum(number not in state_dict["state"] for number in group["params"])
    return state_dict


def load_checked(optimizer: Optimizer, state_dict: dict[str, Any]) -> None:
    """Restore `state_dict`. Parameters are matched by name, or by position if they have none.

    State keeps its dtype; settings of the groups are the saved ones. Hooks run as torch runs them.
    Raises ValueError for missing, unknown or other parameters, shapes or entries; then nothing has
    changed.
    """
    state_dict = dict(state_dict)
    for change in optimizer._optimizer_load_state_dict_pre_hooks.values():
        state_dict = change(optimizer, state_dict) or state_dict
    groups, saved_groups = optimizer.param_groups, state_dict["param_groups"]
    if len(groups) != len(saved_groups):
        raise ValueError(
            f"the state has {len(saved_groups)} parameter groups, the optimizer {len(groups)}: "
            "make it with the arguments of the saved one"
        )
    saved_states = dict(state_dict["state"])
    state: dict[Tensor, dict[str, Any]] = {}
    restored = []
    for group, saved in zip(groups, saved_groups, strict=True):
        numbers = matched(group, saved, saved_groups)
        lost = -saved.get(WITHOUT_STATE, len(numbers))
        for (name, number), parameter in zip(numbers.items(), group["params"], strict=True):
            if number in saved_states:
                entry = saved_states.pop(number)
                check_entry(name, parameter, entry, group)
                state[parameter] = {k: placed(k, v, parameter, group) for k, v in entry.items()}
            else:
                lost += 1
        if lost > 0:
            raise ValueError(
                f"the state of {lost} parameters is missing, of group {called(group)}: load a "
                "whole state dict"
            )
        restored.append(group | settings_of(saved, group))
    if saved_states:
        raise ValueError(f"the state has entry {next(iter(saved_states))}, of no parameter")
    optimizer.state.clear()
    optimizer.state.update(state)
    optimizer.__setstate__({"state": optimizer.state, "param_groups": restored})
    for tell in optimizer._optimizer_load_state_dict_post_hooks.values():
        tell(optimizer)


def matched(
    group: dict[str, Any], saved: dict[str, Any], saved_groups: list[dict[str, Any]]
) -> dict[str, Any]:
    """For each parameter of `group`, by name and in order, its key in the saved state."""
    if group.get("algorithm") != saved.get("algorithm", group.get("algorithm")):
        raise ValueError(
            f"group {called(group)} is {saved['algorithm']}'s in the state and "
            f"{group['algorithm']}'s here: make the optimizer with the arguments of the saved one"
        )
    count, saved_count = len(group["params"]), len(saved["params"])
    names = group.get("param_names")
    saved_names = saved_names_of(saved, names)
    if names is None or saved_names is None:
        if count != saved_count:
            raise ValueError(
                f"group {called(group)} has {count} parameters, in the state {saved_count}"
            )
        names = names or [f"parameter {number}" for number in range(count)]
        return dict(zip(names, saved["params"], strict=True))
    if len(saved_names) != saved_count:
        raise ValueError(
            f"group {called(group)} has {saved_count} parameters in the state and names for "
            f"{len(saved_names)}: load it by the names with which it was saved"
        )
    keys = dict(zip(saved_names, saved["params"], strict=True))
    for name in names:
        if name not in keys:
            places = [
                called(g) for g in saved_groups if name in map(plain_name, g.get("param_names", []))
            ]
            raise ValueError(
                f"{name} of group {called(group)} is not in the state"
                + (f" there, but in group {places[0]}" if places else "")
            )
    unknown = next((name for name in keys if name not in names), None)
    if unknown is not None:
        raise ValueError(f"the state's {unknown} is no parameter of group {called(group)}")
    return {name: keys[name] for name in names}


def saved_names_of(saved: dict[str, Any], names: list[str] | None) -> list[str] | None:
    """The names of a saved group's parameters, in the order of its `params`; None without any.

    torch.distributed.checkpoint puts names into `params`, in the order of the optimizer that loads;
    `param_names` is then another optimizer's, perhaps that of another part of the network.
    """
    params = saved["params"]
    if names and all(isinstance(key, str) for key in params):
        own = [plain_name(key) for key in params]
        if set(own) == set(names):
            return own
    saved_names = saved.get("param_names")
    return None if saved_names is None else [plain_name(name) for name in saved_names]


def settings_of(saved: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    """A copy of the saved settings, dtypes as `group` has them.

    Raises ValueError for the name of no dtype.
    """
    settings = {}
    for key, value in saved.items():
        if key in ("params", "param_names", WITHOUT_STATE):
            continue
        if isinstance(group.get(key), torch.dtype) and isinstance(value, str):
            dtype = getattr(torch, value, None)
            if not isinstance(dtype, torch.dtype):
                raise ValueError(f"{key} is {value!r} in the state, which is no dtype")
            value = dtype
        settings[key] = copy.deepcopy(value)
    return settings


def called(group: dict[str, Any]) -> str:
    """The group's name, as errors show it."""
    return repr(group.get("name", "of the optimizer"))


def check_entry(name: str, parameter: Tensor, entry: dict[str, Any], group: dict[str, Any]) -> None:
    """Raise ValueError if `entry` is not the state of such a parameter.

    Its tensors have the parameter's shape, the count of steps none, [].
    """
    needed, allowed = STATE_OF[group.get("algorithm", "muon")]
    for key in needed:
        if key not in entry:
            raise ValueError(f"{name} has no {key} in the state")
    for key, value in entry.items():
        if key not in (*needed, *allowed):
            raise ValueError(f"{name} has {key} in the state, which is not one of {needed}")
        check_tensor(f"{name}.{key}", value, torch.Size(()) if key == "step" else parameter.shape)
        if key != "step" and is_sharded(value) != is_sharded(parameter):
            raise ValueError(
                f"{name}.{key} is {'' if is_sharded(value) else 'not '}sharded, its parameter is "
                f"{'' if is_sharded(parameter) else 'not '}: load sharded states by "
                "torch.distributed.checkpoint"
            )


def check_tensor(name: str, value: Any, shape: torch.Size) -> None:
    """Raise ValueError if `value` is not a tensor of this shape."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} is {type(value).__name__} in the state, not a tensor")
    if value.shape != shape:
        raise ValueError(f"{name} is {list(value.shape)} in the state, {list(shape)} here")


def placed(key: str, value: Tensor, parameter: Tensor, group: dict[str, Any]) -> Tensor:
    """A copy of `value`, in its shape and dtype, on the device where the optimizer keeps it."""
    on_cpu = key == "step" and group.get("algorithm", "muon") == "muon"
    return value.detach().to("cpu" if on_cpu else parameter.device, copy=True)
