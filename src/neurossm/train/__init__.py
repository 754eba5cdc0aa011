"""Training: tasks, settings and the loop."""

from __future__ import annotations

from neurossm.train.loop import TrainLimits
from neurossm.train.options import TrainSource
from neurossm.train.processes import make_device
from neurossm.train.run import Outcome, make_task, train
from neurossm.train.settings import TrainSettings, presets, settings_of

__all__ = [
    "Outcome",
    "TrainLimits",
    "TrainSettings",
    "TrainSource",
    "make_device",
    "make_task",
    "presets",
    "settings_of",
    "train",
]
