"""What every operation of a program is: named, frozen, with its equation, fields and traits.

A subclass is all that is known of an operation. It declares its fields with `per_channel`,
`per_mode`, `per_entry` or `scalar`, which say how they are stored, checked and read; its states;
and its `equation`. Engines, bounds, counts and files follow from these. What combines channels with
weights (`Dense`, `Embedding`, `Readout`) has no equation and defines `step` and `bounds` itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, TypeVar, cast

import numpy as np

from neurossm.arrays import IntArray, same
from neurossm.errors import FormatError
from neurossm.naming import check_name, part_of
from neurossm.program.arithmetic import Tally, limits, saturate
from neurossm.program.bounds import Reach, reaches
from neurossm.program.code import Code, code_of
from neurossm.program.evaluate import Evaluator, constant
from neurossm.program.expression import Expression, Step
from neurossm.program.fields import State, Symbols, cached, declared, freeze_declared
from neurossm.program.tensor import Interval, TensorSpec
from neurossm.program.work import Work, work_of, work_once

States = dict[str, IntArray]
"""Integer arrays an operation keeps from one step to the next, each (B, ...); empty for most."""

OpType = TypeVar("OpType", bound="Op")


@dataclass(frozen=True, eq=False)
class Op:
    """One operation: reads the tensors `inputs`, writes the tensor `name`.

    `layer` names the part of the network it belongs to; by default it is a layer of its own.
    `step` is the definition: every engine must give the same integers.
    """

    name: str
    inputs: tuple[str, ...]
    out: TensorSpec
    layer: str = dataclasses.field(default="", kw_only=True)

    arity: ClassVar[int] = 1
    saturates: ClassVar[bool] = True
    """False where the output is the exact result, which must be proved to fit its width."""
    emits: ClassVar[str] = "graded"
    """What its messages are: "graded" values, "spikes", or a "token"."""
    spike_bits: ClassVar[int] = 1
    """Bits of a spike's message, for an operation that emits spikes."""
    sums: ClassVar[bool] = False
    """Whether it adds up weights times other channels' values: synapses."""
    merges: ClassVar[bool] = False
    """Whether it joins a path with the one around it: what it reads and makes is the residual."""
    states: ClassVar[tuple[State, ...]] = ()
    derived: ClassVar[Mapping[str, str]] = {}
    """Axes of properties that the equation reads as if they were fields."""
    statistics: ClassVar[int] = 0
    """How many numbers it computes once per step of all channels, and gives to each."""
    channel_maximum: ClassVar[bool] = False
    """Whether neurons compare with the largest of all channels, which not every target knows."""
    float_bounds: ClassVar[bool] = False
    """Whether its bounds are sums of floats, which another machine may round to another integer."""

    def __post_init__(self) -> None:
        """Check the name, the number of inputs and every declared field."""
        check_name(self.name)
        object.__setattr__(self, "layer", self.layer or self.name)
        if len(self.inputs) != self.arity:
            raise FormatError(
                f"{self.name}: {type(self).__name__} reads {self.arity} tensors, "
                f"not {len(self.inputs)}"
            )
        freeze_declared(self)

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression | Step:
        """Return what one time step computes, of fields and states `f` and inputs x.

        The result is saturated to the width of the output afterwards, if the operation saturates.
        """
        raise NotImplementedError

    @classmethod
    def traced(cls) -> Step | None:
        """Return the equation, None for an operation that has none."""
        return _traced(cls)

    @property
    def code(self) -> Code:
        """The equation's instructions."""
        step = self.traced()
        assert step is not None, f"{type(self).__name__} has no equation"
        return code_of(step)

    @cached_property
    def parameters(self) -> tuple[IntArray, ...]:
        """Values of the code's parameters."""
        return tuple(constant(e, self) for e in self.code.parameters)

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self)

    def start(self, batch: int) -> States:
        """Return the states before the first step of `batch` samples."""
        return {s.name: np.zeros((batch, *self.state_shape(s)), np.int64) for s in self.states}

    def step(self, state: States, *inputs: IntArray, tally: Tally) -> tuple[States, IntArray]:
        """Compute one time step: inputs (B, C_in) to the next states and the output (B, C).

        Saturated integers are counted in `tally` under the tensor's name.
        """

        def clip(value: IntArray, bits: int) -> IntArray:
            return saturate(value, bits, tally, self.state_tally)

        out, following = self._evaluator(inputs, state, clip)
        if self.saturates:
            out = saturate(out, self.out.bits, tally, self.name)
        return following, out

    def unsaturated(self, *inputs: IntArray) -> IntArray:
        """Return the output (..., C) before saturation, for an operation without states."""
        out: IntArray = self._evaluator(inputs, {}, lambda value, _: value)[0]
        return out

    def bounds(self, *inputs: Interval) -> Interval:
        """Return what the output can be before saturation, given what the inputs can be.

        Sound for any number of steps.

        Raises
        ------
        LimitError
            An intermediate result could reach 2**62.
        """
        reach = self.reaches(*inputs)[self.code.result]
        size = (self.out.channels,)
        return Interval(np.broadcast_to(reach.low, size), np.broadcast_to(reach.high, size))

    def reaches(self, *inputs: Interval) -> tuple[Reach, ...]:
        """Return what every instruction of the code can be; LimitError as for `bounds`."""
        before = self.state_bounds(*inputs)
        return reaches(self, inputs, {s.name: self._kept(s, before[s.name]) for s in self.states})

    def _kept(self, state: State, reach: Reach) -> Reach:
        """Return what a state can be after saturation."""
        return reach.clipped(*limits(self.width_of(state)))

    def state_bounds(self, *inputs: Interval) -> dict[str, Reach]:
        """Return what every state can be before saturation, at any time.

        Nothing better is known of states in general than twice their width.
        """
        wide = {s.name: 1 << self.width_of(s) for s in self.states}
        return {
            s.name: Reach(*(np.full(self.state_shape(s), e * wide[s.name]) for e in (-1, 1)))
            for s in self.states
        }

    def states_proved(self, *inputs: Interval) -> bool:
        """Tell whether no state can saturate for these inputs."""
        bounds = self.state_bounds(*inputs) if self.states else {}
        return all(bounds[s.name].within(self.width_of(s)) for s in self.states)

    def proof(self, *inputs: Interval) -> TensorSpec:
        """Return what follows for the output, given its inputs' bounds; LimitError as for `bounds`.

        The last answer is kept: an operation never changes.
        """
        known = self.__dict__.get("_proof")
        if known is None or not same(known[0], inputs):
            reached = self.bounds(*inputs)
            kept, proved = reached.clipped(self.out.bits), reached.within(self.out.bits)
            spec = replace(self.out, low=kept.low, high=kept.high, proved=proved)
            known = self.vouched(spec, *inputs).__dict__["_proof"]
        return cast(TensorSpec, known[1])

    def vouched(self: OpType, spec: TensorSpec, *inputs: Interval, derived: bool = True) -> OpType:
        """Return the operation itself, with `spec` as what `proof` says for these inputs.

        Unless it is `derived`, it is a claim known to hold, and may be wider than what follows.
        """
        self.__dict__["_proof"] = (inputs, spec, derived)
        return self

    def certified(self: OpType, *inputs: Interval) -> OpType:
        """Return the operation with its output's bounds computed from its inputs' bounds."""
        if not self.__dict__.get("_proof", (None, None, True))[2]:
            del self.__dict__["_proof"]
        spec = self.proof(*inputs)
        return replace(self, out=spec).vouched(spec, *inputs)

    def input_channels(self) -> tuple[int | None, ...]:
        """Return the number of channels of each input; None for any that equals the output's."""
        return (self.out.channels,) * self.arity

    def check_sources(self, sources: tuple[Op, ...]) -> None:
        """Refuse operations to read from that this one cannot use; FormatError says why."""

    def width_of(self, state: State) -> int:
        """Return the width of a state."""
        return int(getattr(self, state.bits))

    def state_shape(self, state: State) -> tuple[int, ...]:
        """Return (H), or (H, N) for a state of modes."""
        return (self.out.channels,) if state.axis == "channel" else (self.out.channels, self.modes)

    @property
    def modes(self) -> int:
        """Number of modes per channel; 0 where there are none."""
        fields = [f.name for f in declared(type(self)) if f.metadata["axis"] == "mode"]
        return int(getattr(self, fields[0]).shape[1]) if fields else 0

    @property
    def mode_counts(self) -> IntArray:
        """Modes (H) of each channel, at most `modes`; 0 where there are none."""
        return np.full(self.out.channels, self.modes)

    @property
    def synapses(self) -> IntArray:
        """Weights of other channels' values, one row per output channel; empty without sums."""
        return np.zeros((self.out.channels, 0), np.int64)

    def stored(self, field: str) -> IntArray:
        """Return the numbers that hardware keeps for a field."""
        value: IntArray = getattr(self, field)
        return value

    @property
    def message_bits(self) -> int:
        """Bits of one message of its output."""
        return self.spike_bits if self.emits == "spikes" else self.out.bits

    def state_exponent(self, exponent: IntArray) -> IntArray:
        """Return the exponents of its states, (H) or (H, N), given those (H) of its first input."""
        return exponent

    def state_name(self, state: State) -> str:
        """Return the name under which a state is recorded."""
        return part_of(self.name, state.name)

    @property
    def state_tally(self) -> str:
        """The name under which saturated states are counted."""
        return part_of(self.name, "state")

    def work(self) -> Work:
        """Return what one channel computes in one step, if it has all modes."""
        return work_of(self.code, self.modes) if self.traced() else Work()

    def work_by_channel(self) -> dict[str, IntArray]:
        """Return the counts of `work` by name, (H) each: a channel may have fewer modes."""
        counts = self.mode_counts
        if (counts == self.modes).all():
            return {key: np.full(counts.size, n) for key, n in vars(self.work()).items()}
        works = {int(n): vars(work_of(self.code, int(n))) for n in np.unique(counts)}
        return {key: np.array([works[int(n)][key] for n in counts]) for key in vars(Work())}

    def work_per_step(self) -> Work:
        """Return what is computed once per step for all channels together."""
        return work_once(self.code, self.out.channels) if self.statistics else Work()


@cached
def _traced(kind: type[Op]) -> Step | None:
    if kind.equation is Op.equation:
        return None
    inputs = [Expression("input", axis="channel", value=i) for i in range(kind.arity)]
    made = kind.equation(Symbols(kind), *inputs)
    return made if isinstance(made, Step) else Step(made)
