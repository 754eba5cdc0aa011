"""Training: tasks, recipes and the loop."""

from __future__ import annotations

from neurossm.train.recipes import RECIPES, Recipe, recipe
from neurossm.train.run import Outcome, make_device, make_task, save_outcome, train

__all__ = [
    "RECIPES",
    "Outcome",
    "Recipe",
    "make_device",
    "make_task",
    "recipe",
    "save_outcome",
    "train",
]
