"""Lava networks of programs and graphs for users who run or extend them themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurossm.graph.graph import Graph
from neurossm.lava.engine import plan_graph, plan_program
from neurossm.lava.from_graph import encode
from neurossm.lava.network import Network, lay_out

if TYPE_CHECKING:
    from neurossm.program import Program

__all__ = ["build"]


def build(
    model: Program | Graph,
    data: NDArray[np.generic],
    traces: Mapping[str, str | Path] | None = None,
) -> Network:
    """Make the Lava processes of a program (fixed_pt) or of a float graph (floating_pt).

    Nothing runs yet, and everything can be connected to further processes.

    Parameters
    ----------
    model
        An integer program, or a float graph.
    data
        Samples for the network to play, (B, L, size), or (B, L) for one channel.
    traces
        `.npy` files to write tensors to, by tensor: each (B*L, channels), created beforehand.

    Returns
    -------
    Network
        Processes by name; see there how to run them.

    Raises
    ------
    InputError, LimitError, UnsupportedError
        See `run`.

    Examples
    --------
    >>> network = build(program, x)
    >>> network.readout.run(RunSteps(network.steps), Loihi2SimCfg(select_tag=network.tag))
    >>> network.readout.logits.get()  # of the last sample
    >>> network.readout.stop()
    """
    if isinstance(model, Graph):
        x: NDArray[Any] = encode(model, data)
        plan = plan_graph(model)
    else:
        x = model.encode(data)
        plan = plan_program(model)
    batch, length, channels = x.shape
    return lay_out(plan, x.reshape(batch * length, channels), length, traces)
