"""An operation in PyTorch alone: its equation as it is, on any device, not fused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from neurossm.engine.gpu.arithmetic import Stored, saturated
from neurossm.program.evaluate import Evaluator

States = dict[str, Tensor]
"""An operation's states by name, each (B, ...) int64."""


@dataclass(frozen=True, eq=False)
class PlainStep:
    """One PyTorch call for each primitive, in 64-bit integers.

    `state_count` (1) counts saturated states; None where no state can saturate.
    """

    evaluator: Evaluator
    output: Stored
    state_count: Tensor | None = None

    def __call__(self, x: list[Tensor]) -> Tensor:
        """Compute (B, T, C) at once, for an operation without states."""
        return self.output.of(self._step([one.long() for one in x], {})[0])

    def over_time(self, x: list[Tensor], states: States, recorded: Mapping[str, Tensor]) -> Tensor:
        """Compute step by step; `states` are replaced, `recorded` (B, T, ...) are filled."""
        y: Tensor | None = None
        samples, steps = x[0].shape[:2]
        for t in range(steps):
            value, following = self._step([one[:, t].long() for one in x], states)
            states.update(following)
            if y is None:
                shape = (samples, steps, *value.shape[1:])
                y = torch.empty(shape, dtype=self.output.dtype, device=value.device)
            y[:, t] = self.output.of(value)
            for name, kept in recorded.items():
                kept[:, t] = states[name]
        assert y is not None, "a chunk has steps"
        return y

    def _step(self, x: list[Tensor], states: States) -> tuple[Tensor, States]:
        return self.evaluator(x, states, self._clip)

    def _clip(self, value: Tensor, bits: int) -> Tensor:
        return saturated(value, bits, self.state_count)
