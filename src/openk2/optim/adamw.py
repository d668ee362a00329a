"""AdamW's step over one parameter group: torch's fused kernel, and rounding for 16-bit tensors."""

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from openk2.optim.rounding import is_narrow, round_stochastically, rounding_noise
from openk2.optim.shards import local, local_gradient, local_rows

State = MutableMapping[Tensor, dict[str, Any]]


def new_adamw_state(parameter: Tensor) -> dict[str, Tensor]:
    """Zeros for a parameter's two moments and its count of steps, as `torch.optim.AdamW` has them.

    The moments have the parameter's shape, the count has none, []. Those of a 16-bit parameter are
    float32.
    """
    dtype = torch.float32 if is_narrow(parameter) else parameter.dtype
    return {
        "step": torch.zeros((), device=parameter.device),
        "exp_avg": torch.zeros_like(parameter, dtype=dtype),
        "exp_avg_sq": torch.zeros_like(parameter, dtype=dtype),
    }


@torch.no_grad()
def adamw_update(group: dict[str, Any], state: State) -> None:
    """One step of every parameter of `group` that has a gradient.

    group: lr, betas, eps and weight_decay, as `torch.optim.AdamW` names them.
    """
    learning = [p for p in group["params"] if p.grad is not None]
    for parameter in learning:
        if not state[parameter]:
            state[parameter] = new_adamw_state(parameter)
    wide = [p for p in learning if not is_narrow(p)]
    # The parts held here: torch takes no list of sharded and other tensors.
    fused_step(
        [local(p) for p in wide],
        [local_gradient(p) for p in wide],
        [local_state(state[p]) for p in wide],
        group,
    )
    for index, parameter in enumerate(group["params"]):
        if parameter.grad is not None and is_narrow(parameter):
            step_narrow(parameter, state[parameter], index, group)


def step_narrow(
    parameter: Tensor, state: dict[str, Tensor], index: int, group: dict[str, Any]
) -> None:
    """A 16-bit parameter's step, computed in float32 and rounded stochastically.

    parameter: of any shape, sharded or not. state: as from `new_adamw_state`.
    """
    for name in ("exp_avg", "exp_avg_sq"):
        state[name] = state[name].float()  # a loaded one may be narrow
    held = local(parameter)
    values = held.float()
    fused_step([values], [local_gradient(parameter).float()], [local_state(state)], group)
    row = local_rows(parameter).start if parameter.ndim else 0
    noise = rounding_noise(held.device, int(state["step"]), index, row)
    round_stochastically(values, held, noise)


def local_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parts of a parameter's state that are held here; the same memory.

    state: as from `new_adamw_state`; moments have the shape of `local(parameter)`, the count [].
    """
    return {name: local(tensor) for name, tensor in state.items()}


def fused_step(
    weights: list[Tensor],
    gradients: list[Tensor],
    states: list[dict[str, Tensor]],
    group: dict[str, Any],
) -> None:
    """torch's fused AdamW, in place.

    weights, gradients: of any shapes, dense; states: as from `new_adamw_state`.
    """
    if not weights:
        return
    beta1, beta2 = group["betas"]
    adamw(
        weights,
        gradients,
        [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states],
        [],
        [state["step"] for state in states],
        fused=True,
        amsgrad=False,
        beta1=beta1,
        beta2=beta2,
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=False,
    )
