"""The plan of a Lava network: which processes there are, how they are wired, and when they work.

A plan needs no Lava: it is made and checked in the caller's process and carried out in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from neurossm import program as ops
from neurossm.errors import InputError
from neurossm.graph import nodes
from neurossm.lava.stepping import Member
from neurossm.lava.unit import Unit

CLOCK = ""
"""Stands for a file of one number, which the player sets to the time step; no tensor's name."""


class Wire(NamedTuple):
    """An output port: the stage's name and the port's."""

    stage: str
    port: str


class Outlet(NamedTuple):
    """Where a tensor leaves the network, and by how many steps it is late there."""

    wire: Wire
    depth: int


@dataclass(frozen=True, eq=False)
class Stage:
    """One process.

    Parameters
    ----------
    kind
        Class of the process.
    name
        Name of the process: that of its first member.
    members
        What it computes, each after those it reads. The rows of several matrices are stacked in one
        Dense; a Readout may have the mean of a float graph and what follows.
    wires
        The output port behind each input port, by port.
    depth
        Pipeline depth: steps by which its input is late.
    unit
        Of a Neuron.
    message_bits
        Of a Dense: width of what it receives, 0 for single bits.
    recorded
        Shape, at one step, of each tensor or state that can be recorded here.
    """

    kind: Literal["Player", "Dense", "Neuron", "Readout"]
    name: str
    members: tuple[Member, ...]
    wires: Mapping[str, Wire]
    depth: int
    unit: Unit | None = None
    message_bits: int = 0
    recorded: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Plan:
    """All stages, in an order in which each comes after what it reads.

    `tag` selects the models: "fixed_pt" or "floating_pt". `end` is where a network without a
    readout ends.
    """

    stages: tuple[Stage, ...]
    tag: str
    end: Outlet | None = None

    @property
    def outlet(self) -> Outlet:
        """Where the result leaves."""
        return self.end or Outlet(Wire(self.readout.name, "s_out"), self.readout.depth)

    @property
    def latency_steps(self) -> int:
        """Steps from the last input of a sample to its logits."""
        return self.outlet.depth

    @property
    def drain_steps(self) -> int:
        """Steps from the last input to the last value of any tensor, which logits may not need."""
        return max(stage.depth for stage in self.stages)

    @property
    def source(self) -> Stage:
        """The stage that plays the data."""
        return self.stages[0]

    @property
    def readout(self) -> Stage:
        """The stage that decodes."""
        return self.stages[-1]

    @property
    def output(self) -> str:
        """Name of the logits."""
        return self.readout.members[-1].name

    @property
    def each(self) -> bool:
        """Whether every step has logits of its own."""
        first = self.readout.members[0] if self.readout.kind == "Readout" else None
        return isinstance(first, ops.Readout | nodes.PoolNode) and first.pool == "none"

    def recorder(self, tensor: str) -> Stage:
        """Return the stage that can record a tensor.

        Raises
        ------
        InputError
            There is no such tensor.
        """
        for stage in self.stages:
            if tensor in stage.recorded:
                return stage
        raise InputError(f"record: the network has no tensor {tensor!r}")
