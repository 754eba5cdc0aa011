"""Training: tasks, settings and the loop."""

from __future__ import annotations

from neurossm.train.loop import Limits
from neurossm.train.options import Source
from neurossm.train.processes import make_device
from neurossm.train.run import Outcome, make_task, train
from neurossm.train.settings import Settings, presets, settings_of

__all__ = [
    "Limits",
    "Outcome",
    "Settings",
    "Source",
    "make_device",
    "make_task",
    "presets",
    "settings_of",
    "train",
]
