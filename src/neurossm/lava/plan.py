"""The plan of a Lava network: which processes there are, how they are wired, and when they work.

A plan needs no Lava: it is made and checked in the caller's process and carried out in another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from neurossm.errors import InputError

__all__ = ["CLOCK", "LOGITS", "Plan", "Stage", "Wire"]

CLOCK = "clock"
"""Stands for a file of one number, which the player sets to the time step."""
LOGITS = "logits"
"""Stands for the logits, one row for each sample."""


@dataclass(frozen=True)
class Wire:
    """An output port: the stage's name and the port's."""

    stage: str
    port: str


@dataclass(frozen=True, eq=False)
class Stage:
    """One process.

    Parameters
    ----------
    kind
        Class of the process: "Player", "Dense", "Embedding", "Affine", "LayerNorm", "SSM",
        "TernarySSM", "GLU", "GSU", "Readout".
    name
        Name of the process.
    settings
        Its arguments besides name, schedule and trace.
    inputs
        The wire behind each input port.
    depth
        Pipeline depth: steps by which its input is late.
    roles
        For each tensor that can be recorded here, its role in the process (see its `trace`).
    shapes
        Shape of each such tensor at one step.
    counted
        For each role whose saturations the process counts, the key they are reported under.
    """

    kind: str
    name: str
    settings: dict[str, Any]
    inputs: dict[str, Wire]
    depth: int
    roles: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    counted: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Plan:
    """All stages, in an order in which each comes after what it reads.

    `tag` selects the models: "fixed_pt" or "floating_pt".
    """

    stages: tuple[Stage, ...]
    tag: str

    @property
    def latency_steps(self) -> int:
        """Steps from the last input of a sample to its logits."""
        return self.stages[-1].depth

    @property
    def source(self) -> Stage:
        """The stage that plays the data."""
        return self.stages[0]

    @property
    def readout(self) -> Stage:
        """The stage that decodes."""
        return self.stages[-1]

    def recorder(self, tensor: str) -> Stage:
        """Return the stage that can record a tensor.

        Raises
        ------
        InputError
            There is no such tensor.
        """
        for stage in self.stages:
            if tensor in stage.roles:
                return stage
        raise InputError(f"record: the network has no tensor {tensor!r}")
