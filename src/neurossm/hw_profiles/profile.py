"""What a hardware profile holds: the records that its TOML tables become.

A field's name is its TOML key, with the unit in it; its type says what the key accepts. A number
that nobody has published is None here and absent in the file, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

from neurossm.errors import UnsupportedError

WORD_BITS = 64
"""Width of the memory access that `memory_64bit_energy_pj` prices."""


@dataclass(frozen=True)
class EnergyPj:
    """An energy in pJ: between `low` and `high`, or `low` and more where `is_minimum`."""

    low: float
    high: float
    is_minimum: bool = False

    def __add__(self, other: EnergyPj) -> EnergyPj:
        """Add ends; a sum with a minimum in it is a minimum."""
        return EnergyPj(
            self.low + other.low, self.high + other.high, self.is_minimum or other.is_minimum
        )

    def times(self, count: float) -> EnergyPj:
        """Return the energy of so many operations."""
        return EnergyPj(self.low * count, self.high * count, self.is_minimum and count > 0)

    @staticmethod
    def total(parts: Iterable[EnergyPj]) -> EnergyPj:
        """Add up parts."""
        return reduce(add, parts, EnergyPj(0.0, 0.0))


@dataclass(frozen=True)
class Support:
    """What can be done with the target.

    Parameters
    ----------
    compile
        Programs can be compiled for it.
    profile
        Counts can be priced with it.
    programmable_neurons
        Neurons run programs of the user's.
    lava_simulator
        Programs for it run on Lava's CPU simulation, without its hardware.
    reason
        Why it cannot be compiled for, priced or simulated; required where one of the first two is
        false.
    channel_maximum
        Every neuron of a layer may use the greatest magnitude of all its channels within the step,
        as the official GSU's threshold does. Left out where it cannot.
    in_turn
        One core works through all groups of neurons, one after the other, as a processor does.
        Left out where a core has the neurons of one group.
    """

    compile: bool
    profile: bool
    programmable_neurons: bool
    lava_simulator: bool
    reason: str | None = None
    channel_maximum: bool = False
    in_turn: bool = False


@dataclass(frozen=True)
class Limits:
    """What fits; an absent limit (None) is one that nobody has published.

    `core_memory_bytes` holds everything of a core, `synapse_memory_bytes` is the share that
    weights may take, `state_memory_bytes` the share for what changes from step to step (RAM beside
    flash). `neuron_state_bytes` is the most that one neuron may have, with its
    parameters. `accumulator_bits` is the width of a neuron's sums.
    """

    chips_per_system: int
    cores_per_chip: int
    neurons_per_core: int
    core_memory_bytes: int
    synapse_memory_bytes: int
    neuron_state_bytes: int
    weight_bits: int
    message_bits: int
    accumulator_bits: int
    axons_in_per_core: int | None = None
    axons_out_per_core: int | None = None
    state_memory_bytes: int | None = None


@dataclass(frozen=True)
class EventEnergy:
    """Prices of a neuromorphic chip's events, in pJ."""

    synop_energy_pj: EnergyPj | None = None
    neuron_update_active_energy_pj: EnergyPj | None = None
    neuron_update_idle_energy_pj: EnergyPj | None = None
    spike_energy_pj: EnergyPj | None = None
    hop_energy_pj: EnergyPj | None = None


@dataclass(frozen=True)
class ArithmeticEnergy:
    """Prices of single additions, multiplications and memory accesses, in pJ."""

    add_int8_energy_pj: EnergyPj | None = None
    add_int32_energy_pj: EnergyPj | None = None
    add_fp16_energy_pj: EnergyPj | None = None
    add_fp32_energy_pj: EnergyPj | None = None
    multiply_int8_energy_pj: EnergyPj | None = None
    multiply_int32_energy_pj: EnergyPj | None = None
    multiply_fp16_energy_pj: EnergyPj | None = None
    multiply_fp32_energy_pj: EnergyPj | None = None
    memory_64bit_energy_pj: EnergyPj | None = None


@dataclass(frozen=True)
class Power:
    """Power that is drawn whether or not anything happens."""

    static_power_mw: float | None = None


@dataclass(frozen=True)
class Proxy:
    """Another profile's prices, used where this one has none; `label` goes with every result."""

    energy_of: str
    label: str


@dataclass(frozen=True)
class Citation:
    """Where a number comes from; `assumption` marks one that is this project's own."""

    title: str
    year: int | None = None
    table: str | None = None
    assumption: bool = False

    def __str__(self) -> str:
        """Return one line."""
        parts = [self.title, None if self.year is None else str(self.year), self.table]
        return ", ".join(part for part in parts if part is not None)


@dataclass(frozen=True)
class Profile:
    """One target.

    Parameters
    ----------
    name, title, summary
        Its short name, its full name, and a sentence.
    path
        The file it was read from.
    support, limits, event_energy, arithmetic_energy, power, proxy
        Its tables; None where the file has none.
    source
        The sources by their key in the file.
    source_of
        The key of the source of every number, by "table.key".
    text
        What the file holds; None where it was not read from text.
    """

    name: str
    title: str
    summary: str
    path: str
    support: Support
    limits: Limits | None
    event_energy: EventEnergy | None
    arithmetic_energy: ArithmeticEnergy | None
    power: Power | None
    proxy: Proxy | None
    source: Mapping[str, Citation]
    source_of: Mapping[str, str]
    text: str | None = None

    def compile_limits(self) -> Limits:
        """Return the limits, or say why nothing can be compiled for this target.

        Raises
        ------
        UnsupportedError
            The target cannot run programs.
        """
        if not self.support.compile or self.limits is None:
            raise UnsupportedError(f"target {self.name!r} cannot run programs: {self._reason()}")
        return self.limits

    def check_priced(self) -> None:
        """Refuse a target whose prices mean nothing for a state-space program.

        Raises
        ------
        UnsupportedError
            The target says so.
        """
        if not self.support.profile:
            raise UnsupportedError(f"target {self.name!r} cannot be profiled: {self._reason()}")

    def check_simulated(self) -> None:
        """Refuse a target whose programs Lava's CPU simulation must not run.

        Raises
        ------
        UnsupportedError
            The target says so.
        """
        if not self.support.lava_simulator:
            reason = self.support.reason or "[support] lava_simulator is false"
            raise UnsupportedError(
                f"target {self.name!r} does not run on Lava's CPU simulation: {reason}; use "
                "another engine, or compile for a target that does"
            )

    def _reason(self) -> str:
        return self.support.reason or f"{self.path} has no [limits]"

    def sources(self, *tables: str) -> tuple[str, ...]:
        """Return the sources of the numbers in these tables (of all, if none is named)."""
        keys = [
            source
            for number, source in self.source_of.items()
            if not tables or number.split(".")[0] in tables
        ]
        return tuple(str(self.source[key]) for key in dict.fromkeys(keys))
