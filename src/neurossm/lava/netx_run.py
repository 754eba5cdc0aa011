"""Runs networks of netx's files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.proc.conv import utils as convolutions
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from numpy.typing import ArrayLike, NDArray

from neurossm.errors import InputError
from neurossm.files import as_path
from neurossm.lava.guard import guarded
from neurossm.lava.hardware import run_config
from neurossm.lava.processes.netx.process import NetxNetwork


def run_netx(
    path: str | os.PathLike[str],
    data: ArrayLike | None = None,
    *,
    steps: int | None = None,
    bias: ArrayLike | None = None,
    reset_interval: int | None = None,
    input_message_bits: int = 0,
) -> NDArray[np.int64]:
    """Run a network of a netx file, with layers of ours or without, on the fixed_pt models.

    Parameters
    ----------
    path
        The file.
    data
        (..., steps), what arrives on the network's input at each step.
    steps
        Steps to run, needed where there are no data; those of the data, and what the network
        delays, by default.
    bias
        Of the neurons of an input layer, which is how netx's networks of images get theirs.
    reset_interval, input_message_bits
        See `NetxNetwork`.

    Returns
    -------
    array
        (..., steps), what leaves the network: `latency_steps` behind what arrives.

    Raises
    ------
    InputError
        Shapes that do not fit; neither data nor steps.
    UnsupportedError, FormatError
        The file cannot be run, with a list of what; or is none of netx's.
    RunError
        A process of the network failed.
    """
    network = NetxNetwork(
        as_path(path, "netx file"),
        reset_interval=reset_interval,
        input_message_bits=input_message_bits,
    )
    played = None if data is None else np.asarray(data)
    if played is not None and played.shape[:-1] != tuple(network.inp.shape):
        raise InputError(
            f"{path}: data of shape {played.shape}, expected {tuple(network.inp.shape)} and steps"
        )
    if steps is None and played is None:
        raise InputError(f"{path}: give steps, or data")
    total = steps or played.shape[-1] + network.latency_steps  # type: ignore[union-attr]
    if bias is not None:
        _set_bias(network, np.asarray(bias))
    if played is not None:
        more = np.zeros((*played.shape[:-1], max(total - played.shape[-1], 0)), played.dtype)
        Source(data=np.concatenate([played, more], axis=-1)).s_out.connect(network.inp)
    sink = Sink(shape=network.out.shape, buffer=total)
    network.out.connect(sink.a_in)
    convolutions.TORCH_IS_AVAILABLE = False  # its threads do not survive Lava's forks
    with guarded(network):
        network.run(RunSteps(total), run_config())
        sent: NDArray[np.int64] = sink.data.get().astype(np.int64)
    return sent


def _set_bias(network: Any, bias: NDArray[Any]) -> None:
    own = getattr(network.in_layer.neuron, "bias_mant", None)
    if own is None or bias.shape != tuple(network.in_layer.neuron.a_in.shape):
        raise InputError(
            f"{network.name}: a bias of shape {bias.shape}; the first layer has "
            f"{'none' if own is None else tuple(network.in_layer.neuron.a_in.shape)}"
        )
    own.init = bias
