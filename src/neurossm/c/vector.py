"""The engine "c-vector": as the engine "c", in the style for the cores of this machine."""

from __future__ import annotations

from functools import partial

from neurossm.c import engine, session

run = partial(engine.run, style="vector")
warm_up = partial(engine.warm_up, style="vector")


class Session(session.Session):
    """A program in the middle of its input, many steps at once."""

    style = "vector"
