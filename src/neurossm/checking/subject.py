"""What kind of file is checked, and the float graph or the program in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neurossm.datafile import Data
from neurossm.errors import FormatError
from neurossm.graph import Graph
from neurossm.graph import graph as graph_room
from neurossm.program import Program
from neurossm.program import program as program_room
from neurossm.storage import is_hdf5, schema_of

if TYPE_CHECKING:
    from neurossm.models.feedforward import Feedforward
    from neurossm.models.network import Network


@dataclass(frozen=True, eq=False)
class Subject:
    """A file that was opened.

    Parameters
    ----------
    kind
        What it is, for people.
    graph
        The float graph: the trained one, or the approximated one inside a program.
    program
        The program in it; None in other files.
    model
        The PyTorch network; None in `.h5` files.
    calibration
        The samples that travel with it, if any.
    """

    kind: str
    graph: Graph
    program: Program | None = None
    model: Network | Feedforward | None = None
    calibration: Data | None = None


def open_subject(path: Path) -> Subject:
    """Open a checkpoint, a file of another project that can be imported, a graph or a program.

    Raises
    ------
    NeuroSSMError
        What the commands that read such a file raise.
    """
    if is_hdf5(path):
        if schema_of(path) == graph_room.SCHEMA:
            return Subject(f"{graph_room.SCHEMA} file", Graph.load(path))
        program = Program.load(path)
        return Subject(f"{program_room.SCHEMA} file", program.graph, program)
    return _checkpoint(path)


def _checkpoint(path: Path) -> Subject:
    from neurossm.importers import import_checkpoint
    from neurossm.models.checkpoint import FORMAT, Checkpoint, is_checkpoint, load
    from neurossm.models.export import export

    if is_checkpoint(path):
        kind, checkpoint = f"{FORMAT} file", load(path)
    else:
        imported = import_checkpoint(path)
        kind = "checkpoint of another project"
        checkpoint = Checkpoint(
            imported.model, imported.calibration, calibration_lengths=imported.calibration_lengths
        )
    samples, lengths = checkpoint.calibration, checkpoint.calibration_lengths
    data = None if samples is None else Data(samples, lengths=lengths)
    return Subject(kind, export(checkpoint), None, checkpoint.model, data)


def kind_of(path: Path) -> str:
    """Return what a file that cannot be opened seems to be."""
    try:
        return f"damaged or foreign {schema_of(path) or 'HDF5'} file" if is_hdf5(path) else "file"
    except FormatError:
        return "damaged HDF5 file"
