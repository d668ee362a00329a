"""Training: a recipe to a checkpoint, in one step loop for pre-training and fine-tuning."""

from openk2.train.loop import Progress, join, train
from openk2.train.passes import IGNORED, MicroBatches, head_loss, micro_batches, summed_loss
from openk2.train.recipe import Memory, Recipe, Shape
from openk2.train.resume import StateError
from openk2.train.start import fresh_config
from openk2.train.step import StepReport, TrainingError, train_step

__all__ = [
    "IGNORED",
    "Memory",
    "MicroBatches",
    "Progress",
    "Recipe",
    "Shape",
    "StateError",
    "StepReport",
    "TrainingError",
    "fresh_config",
    "head_loss",
    "join",
    "micro_batches",
    "summed_loss",
    "train",
    "train_step",
]
