"""The engine "c-vector": as the engine "c", in the style for the cores of this machine."""

from __future__ import annotations

from functools import partial

from neurossm.c import engine

run = partial(engine.run, style="vector")
warm_up = partial(engine.warm_up, style="vector")
