"""What a check finds, as frozen records."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from neurossm.checking.ledger import LedgerRow
from neurossm.program.certificate import Certificate


@dataclass(frozen=True)
class Problem:
    """One reason for which a file would be refused.

    Parameters
    ----------
    where
        A node, a width, a group of neurons, or the file.
    what
        What is wrong, with the limit.
    way_out
        What would help; empty where the message names nothing.
    error
        Name of the exception that a command would raise.
    remark
        Under which assumption it was found; empty for none.
    """

    where: str
    what: str
    way_out: str
    error: str
    remark: str = ""


@dataclass(frozen=True)
class Finding:
    """Something that nobody refuses and somebody should know.

    `category` is "silent" (never fires), "saturated" (hardly ever does not, or loses values at its
    limits) or "unusual" (parameters of a rare size or form).
    """

    category: str
    where: str
    what: str


@dataclass(frozen=True)
class LayerActivity:
    """How often one tensor of spikes, or of a ReLU, is not zero.

    Parameters
    ----------
    tensor, layer, channels
        Its name, that of its layer, and its size.
    rate
        Share of channels and steps that are not zero.
    silent, saturated
        Channels that are always zero, and those of spikes that are zero in less than 1 % of the
        steps.
    """

    tensor: str
    layer: str
    channels: int
    rate: float
    silent: int
    saturated: int


@dataclass(frozen=True)
class SpikeActivity:
    """How active all such tensors are on so many samples and steps."""

    samples: int
    steps: int
    layers: tuple[LayerActivity, ...]


@dataclass(frozen=True)
class Use:
    """How far one limit of a target is used by the core that uses it most."""

    limit: str
    needed: int
    available: int
    share: float
    where: str


@dataclass(frozen=True)
class Fit:
    """A program on the cores of a target."""

    target: str
    cores_used: int
    chips_used: int
    least_cores: int
    uses: tuple[Use, ...]


@dataclass(frozen=True)
class Examination:
    """All that a check found.

    Parameters
    ----------
    file, kind
        Name of the file, and what it is.
    target
        Name of the profile it was compiled for, or would be.
    hw
        Name of the profile it was placed on.
    problems
        Every reason for which a command would refuse it.
    not_checked
        What could not be looked at, as it depends on what is refused.
    findings
        What is silent, saturated or unusual.
    activity
        None without data.
    fit
        None where there is no program, or where it does not fit.
    tensors
        Width, exponent, bound and proof of every integer tensor, as `neurossm compile` shows.
    ledger
        What became of every parameter.
    """

    file: str
    kind: str
    target: str
    hw: str
    problems: tuple[Problem, ...]
    not_checked: tuple[str, ...]
    findings: tuple[Finding, ...]
    activity: SpikeActivity | None
    fit: Fit | None
    tensors: tuple[Certificate, ...]
    ledger: tuple[LedgerRow, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing would be refused."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return the results under the keys that `neurossm check --json` writes."""
        return {"ok": self.ok} | asdict(self)
