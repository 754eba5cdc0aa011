"""Training: tasks, settings and the loop."""

from __future__ import annotations

from neurossm.train.loop import TrainLimits
from neurossm.train.options import TrainSource
from neurossm.train.prepared import write_task
from neurossm.train.processes import make_device
from neurossm.train.run import Outcome, make_task, train
from neurossm.train.settings import TrainSettings, presets, settings_of
from neurossm.train.tasks import TaskRequest, named_task

__all__ = [
    "Outcome",
    "TaskRequest",
    "TrainLimits",
    "TrainSettings",
    "TrainSource",
    "make_device",
    "make_task",
    "named_task",
    "presets",
    "settings_of",
    "train",
    "write_task",
]
