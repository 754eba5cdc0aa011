"""What can be recorded of a program while it runs: tensors and states."""

from __future__ import annotations

from dataclasses import dataclass

from neurossm.program.fields import State
from neurossm.program.operation import Op


@dataclass(frozen=True, eq=False)
class Recording:
    """The output of an operation, or one of its states."""

    op: Op
    state: State | None = None

    @property
    def name(self) -> str:
        """The operation's name, or the state's: "ssm", "ssm:state_re"."""
        return self.op.name if self.state is None else self.op.state_name(self.state)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape at one step of one sample: (C), or (H, N) for states of modes."""
        return (self.op.out.channels,) if self.state is None else self.op.state_shape(self.state)

    @property
    def bits(self) -> int:
        """Width of its integers."""
        return self.op.out.bits if self.state is None else self.op.width_of(self.state)
