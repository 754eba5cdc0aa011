"""The engine "c": the C that is written for any processor, compiled for this one."""

from __future__ import annotations

from neurossm.c.engine import run, warm_up
from neurossm.c.session import Session

__all__ = ["Session", "run", "warm_up"]
