"""The whole path from a model to a program for a target."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import neurossm
from neurossm.compile.approximate import approximate
from neurossm.compile.certify import certify
from neurossm.compile.fold import fold
from neurossm.compile.options import CompileOptions
from neurossm.compile.place import place
from neurossm.compile.quantise import quantise
from neurossm.compile.ranges import calibrated_ranges, proved_ranges
from neurossm.compile.rounding import input_statistics
from neurossm.errors import InputError, LimitError
from neurossm.graph import Graph
from neurossm.hw_profiles import Profile, load_profile
from neurossm.program import Program
from neurossm.storage import is_hdf5

if TYPE_CHECKING:
    from torch import nn


def compile_model(
    model: str | Path | Graph | nn.Module,
    target: str = "loihi2-sim",
    options: CompileOptions | None = None,
    calibration: NDArray[np.generic] | None = None,
) -> Program:
    """Compile a model to an integer program.

    Parameters
    ----------
    model
        A checkpoint (`.pt`), a graph file (`.h5`), a `Graph`, or a model of `neurossm.models`.
    target
        Name of a hardware profile, or the path of a profile file.
    options
        Widths, scaling, tables; the defaults prove that nothing overflows.
    calibration
        (samples, L, size): data for calibrated scaling. A checkpoint brings its own.

    Returns
    -------
    Program
        Certified; `Program.save` writes it.

    Raises
    ------
    InputError
        No such file, unknown target, calibration data missing or unsuitable.
    UnsupportedError
        A layer that has no integer form, or a target that cannot run it.
    LimitError
        Something does not fit the widths or the target.
    """
    options = options or CompileOptions()
    profile = load_profile(target)
    limits = profile.compile_limits()
    graph, own_calibration = load_graph(model)
    _check_widths(options, profile)
    folded = fold(graph)
    data = calibration if calibration is not None else own_calibration
    approximated, approximations = approximate(folded, options, data)
    if options.scaling == "calibrated":
        if data is None:
            raise InputError(
                "calibrated scaling needs data: give --calibration DATA.npz, or a checkpoint that "
                "carries a calibration batch"
            )
        ranges = calibrated_ranges(approximated, data, options.headroom_bits)
    else:
        ranges = proved_ranges(approximated)
    statistics = None
    if options.rounding == "adjusted" and data is not None:
        statistics = input_statistics(approximated, data)
    ops = quantise(approximated, ranges, options, limits.accumulator_bits, statistics)
    provenance = {
        "model": graph.provenance,
        "options": asdict(options),
        "rounding": "nearest" if statistics is None else "adjusted",
        "neurossm": neurossm.__version__,
        "numpy": np.__version__,
    }
    program = certify(Program(ops, approximated, profile.name, approximations, provenance))
    place(program, profile)  # refuses what does not fit
    return program


def _check_widths(options: CompileOptions, profile: Profile) -> None:
    limits = profile.compile_limits()
    for name, limit in (("weight", limits.weight_bits), ("residual", limits.message_bits)):
        bits = getattr(options.widths, name)
        if bits > limit:
            raise LimitError(
                f"width of {name}: {bits} bits, but target {profile.name!r} has {limit}; "
                "use fewer bits or another target"
            )


def load_graph(model: Any) -> tuple[Graph, NDArray[np.generic] | None]:
    """Return the float graph of a model, and the calibration batch if it brings one."""
    if isinstance(model, Graph):
        return model, None
    if isinstance(model, (str, Path)):
        path = Path(model)
        if is_hdf5(path):
            return Graph.load(path), None
        from neurossm.models.checkpoint import load
        from neurossm.models.export import export

        checkpoint = load(path)
        return export(path), checkpoint.calibration
    from neurossm.models.export import export

    return export(model), None
