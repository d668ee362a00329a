"""Training: from a recipe to a checkpoint, in one step loop for pre-training and fine-tuning."""

from openk2.train.loop import StepProgress, Stopped, train
from openk2.train.loss import IGNORED, StepLoss
from openk2.train.passes import MicroBatches, loss_of, micro_batches
from openk2.train.recipe import Memory, NetworkShape, Recipe
from openk2.train.resume import StateError
from openk2.train.setup import Run, join, set_up
from openk2.train.start import fresh_config
from openk2.train.step import StepReport, TrainingError, train_step

__all__ = [
    "IGNORED",
    "Memory",
    "MicroBatches",
    "NetworkShape",
    "Recipe",
    "Run",
    "StateError",
    "StepLoss",
    "StepProgress",
    "StepReport",
    "Stopped",
    "TrainingError",
    "fresh_config",
    "join",
    "loss_of",
    "micro_batches",
    "set_up",
    "train",
    "train_step",
]
