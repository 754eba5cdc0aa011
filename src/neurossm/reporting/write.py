"""Report on a program in one call: watch it, write the page and its figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from neurossm.cost import CostProfile
from neurossm.datafile import Data, samples_of
from neurossm.files import as_path, require_writable
from neurossm.graph import Graph
from neurossm.hw_profiles import Profile
from neurossm.parity import Verification
from neurossm.program import Program, as_program
from neurossm.progress import Progress
from neurossm.registry import DEFAULT_ENGINE
from neurossm.reporting.evidence import gather
from neurossm.reporting.page import write_page, write_plots

if TYPE_CHECKING:
    from neurossm.models.checkpoint import Checkpoint
    from neurossm.models.network import Network

DEFAULT_LIMIT = 100
"""Samples a report looks at where nothing else is asked for: a minute's work."""


@dataclass(frozen=True, eq=False)
class Report:
    """What `report` wrote, and what the page shows in numbers.

    Parameters
    ----------
    path
        The page.
    plots
        The figures' files; empty where none were asked for.
    verification, cost
        As of `neurossm.verify` and `neurossm.profile`.
    """

    path: Path
    plots: tuple[Path, ...]
    verification: Verification
    cost: CostProfile

    @property
    def passed(self) -> bool:
        """Whether every check of the verification holds."""
        return self.verification.passed

    def to_json(self) -> dict[str, Any]:
        """Return the results under the keys that `neurossm report --json` writes."""
        return {
            "report": str(self.path),
            "plots": [str(path) for path in self.plots],
            "passed": self.passed,
            "origin": self.verification.origin,
            "verification": self.verification.to_json(),
            "profile": self.cost.to_json(),
        }


def report(
    program: Program | str | Path,
    data: ArrayLike | Data | str | Path,
    labels: ArrayLike | None = None,
    model: str | Path | Graph | Checkpoint | Network | None = None,
    path: str | Path = "report.html",
    *,
    plots: str | Path | None = None,
    hw: str | os.PathLike[str] | Profile | None = None,
    engines: str | Sequence[str] = DEFAULT_ENGINE,
    limit: int | None = None,
    progress: Progress | None = None,
    lengths: ArrayLike | None = None,
) -> Report:
    """Write a page about a program on data: agreement, spikes, states, operations, energy, cores.

    Parameters
    ----------
    program
        The integer program, or its file.
    data, labels, lengths
        As `neurossm.verify` takes them.
    model
        The trained model, the highest rung; without it the approximated graph is.
    path
        HTML file to write: one that needs no other.
    plots
        Folder for the figures as PNG and SVG; None writes none.
    hw
        Hardware profile to price with; by default the one that the program was compiled for.
    engines
        As in `neurossm.verify`; the first one also does everything else.
    limit
        Only the first so many samples; by default the first `DEFAULT_LIMIT`, as far as there are.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.

    Raises
    ------
    InputError
        Data that do not suit, a file that cannot be written, or a program without the float
        network it stands for.
    UnsupportedError, LimitError
        As `neurossm.profile`.
    """
    path = as_path(path, "report")
    require_writable(path)
    folder = None if plots is None else as_path(plots, "plots")
    program = as_program(program)
    classes = program.readout.out.channels
    everything = samples_of(
        program.input, classes, data, labels, lengths=lengths, each=program.readout.streams
    )
    samples = everything.limited(min(DEFAULT_LIMIT, len(everything.x)) if limit is None else limit)
    evidence = gather(
        program,
        samples,
        available=len(everything.x),
        model=model,
        hw=hw,
        engines=engines,
        progress=progress,
    )
    write_page(evidence, path)
    written = () if folder is None else write_plots(evidence, folder)
    return Report(path, written, evidence.verification, evidence.cost)
