"""Apply the recipe's `[memory]` table to a network and its passes (report 2.4)."""

import copy
from collections.abc import Callable

import torch

from openk2.config import RecipeError
from openk2.model import Experts, K2Model, Keeping
from openk2.train.passes import Passes
from openk2.train.recipe import Memory
from openk2.train.working_copy import WorkingCopy, narrow


def keep_activations(memory: Memory, model: K2Model, device: str) -> None:
    """Have the model's layers save activations as `memory` says.

    Raises RecipeError for offload on a CPU, where the host's memory is all there is.
    """
    if memory.offload and torch.device(device).type != "cuda":
        raise RecipeError(
            f"memory.offload needs cuda, the device is {device}: leave it out, or train on a GPU"
        )
    keeping = Keeping(frozenset(memory.recompute), memory.fp8_inputs, memory.offload)
    for layer in model.decoder_layers:
        layer.keep(keeping)


def passes_in(memory: Memory, model: K2Model, over: Callable[[K2Model], Passes]) -> Passes:
    """The passes that `over` makes of `model`, or of a bfloat16 copy of it.

    Either way their gradients end in `model`'s parameters, which are float32.
    """
    if memory.parameters == "float32":
        return over(model)
    # The dispatch belongs to this process, not to the network: it is not copied.
    shared = {id(m.dispatch): m.dispatch for m in model.modules() if isinstance(m, Experts)}
    working = copy.deepcopy(model, shared)
    narrow(model, working, getattr(torch, memory.gradients))
    return WorkingCopy(over(working), model, working)
