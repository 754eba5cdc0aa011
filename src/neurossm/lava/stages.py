"""The process of each stage of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from lava.proc.dense.process import Dense
from lava.utils.weightutils import SignMode

from neurossm.lava.plan import Stage
from neurossm.lava.processes.neuron.process import Neuron
from neurossm.lava.processes.player.process import Player
from neurossm.lava.processes.readout.process import ReadoutProcess
from neurossm.lava.schedule import Schedule
from neurossm.lava.stepping import Member
from neurossm.program import Dense as DenseOp
from neurossm.program import Input


def make_stage(
    stage: Stage,
    schedule: Schedule,
    *,
    name: str | None = None,
    trace: dict[str, str] | None = None,
    data: Any = None,
) -> Any:
    """Return the process of a stage, called as the stage or by `name`; `data` are a player's."""
    members, name = stage.members, name or stage.name
    if stage.unit is not None:
        return Neuron(stage.unit, schedule=schedule, trace=trace, name=name)
    if stage.kind == "Dense":
        return dense(members, stage.message_bits, name=name)
    if stage.kind == "Player":
        source = members[0]
        interval = source.out.interval if isinstance(source, Input) else None
        return Player(data=data, interval=interval, tensor=source.name, trace=trace, name=name)
    ((channels,),) = stage.recorded.values()
    return ReadoutProcess(members, channels=channels, schedule=schedule, trace=trace, name=name)


def dense(members: Sequence[Member], message_bits: int, name: str | None = None) -> Any:
    """Return Lava's own Dense for the rows of matrices that read the same tensor.

    `message_bits` 0 stands for binary spikes: Lava casts what arrives to bool, and -1 to 1. Of
    mixed-sign weights Dense keeps even values only. So a mantissa m goes in as 2m, and the sum
    comes out halved (`weight_exp=-1`), which is exact.
    """
    weight = np.concatenate([member.weight for member in members])  # type: ignore[union-attr]
    if not isinstance(members[0], DenseOp):
        return Dense(weights=weight, num_message_bits=message_bits, name=name)
    return Dense(
        weights=2 * weight,
        weight_exp=-1,
        sign_mode=SignMode.MIXED,
        num_message_bits=message_bits,
        name=name,
    )
