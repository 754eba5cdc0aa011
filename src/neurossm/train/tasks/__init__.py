"""Tasks to train on. A task is one file and one entry of `TASKS`."""

from __future__ import annotations

from neurossm.train.tasks.registry import TASKS, TaskRequest, TaskSource, named_task
from neurossm.train.tasks.samples import Samples, Task

__all__ = ["TASKS", "Samples", "Task", "TaskRequest", "TaskSource", "named_task"]
