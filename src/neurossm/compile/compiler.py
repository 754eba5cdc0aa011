"""The whole path from a model to a program for a target."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

import neurossm
from neurossm.checks import checked_type
from neurossm.compile.approximate import approximate
from neurossm.compile.calibration import Calibration, Observer, walk
from neurossm.compile.emit import Memory, emit_program
from neurossm.compile.fold import fold
from neurossm.compile.options import DEFAULT_TARGET, CompileOptions, Widths
from neurossm.compile.precision import check_layers
from neurossm.compile.ranges import RangeObserver, Ranges, proved_ranges
from neurossm.compile.rounding import InputStatistics, StatisticsObserver
from neurossm.datafile import Data
from neurossm.errors import InputError, LimitError
from neurossm.files import as_path
from neurossm.graph import Graph, LinearNode, Node
from neurossm.hw_profiles import Profile, load_profile
from neurossm.naming import SEPARATOR
from neurossm.place.placement import Placement, place
from neurossm.program import Program
from neurossm.program.certificate import certify
from neurossm.program.program import Approximation
from neurossm.progress import Meter, Progress
from neurossm.refusals import Refusals
from neurossm.storage import is_hdf5

if TYPE_CHECKING:
    from neurossm.models.checkpoint import Checkpoint
    from neurossm.models.network import Network


def compile_model(
    model: str | Path | Graph | Checkpoint | Network,
    target: str | os.PathLike[str] | Profile = DEFAULT_TARGET,
    options: CompileOptions | None = None,
    calibration: ArrayLike | Data | None = None,
    progress: Progress | None = None,
) -> Program:
    """Compile a model to an integer program.

    Parameters
    ----------
    model
        A checkpoint (`.pt`, or what `neurossm.load` made of it), a graph file (`.h5`), a `Graph`,
        or a network of `neurossm.models`.
    target
        Name of a hardware profile, or the path of a profile file.
    options
        Widths, scaling, tables; the defaults prove that nothing overflows.
    calibration
        (samples, L, size): data for calibrated scaling. A checkpoint, loaded or as a file, brings
        its own. About 50,000 time steps decide thresholds and the rounding of weights, chosen by
        a fixed seed where there are more; ranges of calibrated scaling see all of them.
    progress
        Told how far the walk over the data is; see `neurossm.progress`.

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
    return prepare(model, target, options, calibration, progress).compile()


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model up to where widths matter: compiles with any of them, and repeats no work.

    Parameters
    ----------
    graph
        Approximated and folded.
    approximations
        What was approximated, and by how much.
    ranges
        What every tensor can reach.
    statistics
        Of the mixing layers' inputs; None for rounding to nearest.
    options
        Those it was prepared with; `compile` may change the widths.
    profile
        The target.
    source
        Provenance of the model and of the calibration data.
    """

    graph: Graph
    approximations: tuple[Approximation, ...]
    ranges: Ranges
    statistics: Mapping[str, InputStatistics] | None
    options: CompileOptions
    profile: Profile
    source: Mapping[str, Any]
    memory: Memory = field(default_factory=dict)

    def compile(
        self, widths: Widths | None = None, layers: Mapping[str, Mapping[str, int]] | None = None
    ) -> Program:
        """Return the program of `placed`."""
        return self.placed(widths, layers)[0]

    def placed(
        self,
        widths: Widths | None = None,
        layers: Mapping[str, Mapping[str, int]] | None = None,
        refusals: Refusals | None = None,
    ) -> tuple[Program, Placement]:
        """Return the program with these widths, and where it fits the target.

        The widths are those of the options where None. `refusals` may gather what is refused; the
        first is raised in the end all the same.

        Raises
        ------
        InputError
            Widths for layers that the model has not.
        LimitError, UnsupportedError
            As `compile_model`.
        """
        program = self.program(widths, layers, refusals)
        return program, place(program, self.profile, refusals)  # refuses what does not fit

    def program(
        self,
        widths: Widths | None = None,
        layers: Mapping[str, Mapping[str, int]] | None = None,
        refusals: Refusals | None = None,
    ) -> Program:
        """Return the program of `placed`, wherever it fits."""
        options, refusals = self.options, Refusals() if refusals is None else refusals
        if widths is not None:
            options = replace(options, widths=widths)
        if layers is not None:
            options = replace(options, layers=layers)
        _check_widths(options, self.profile, refusals)
        check_layers(self.graph, options.layers)
        limit = self.profile.compile_limits().accumulator_bits
        ops = emit_program(
            self.graph, self.ranges, options, limit, self.statistics, self.memory, refusals
        )
        provenance = {
            **self.source,
            "options": asdict(options),
            "rounding": "nearest" if self.statistics is None else "adjusted",
            "neurossm": neurossm.__version__,
            "numpy": np.__version__,
        }
        draft = Program(
            ops,
            self.graph,
            self.profile.name,
            self.approximations,
            provenance,
            self.profile.text,
        )
        return certify(draft)


def prepare(
    model: str | Path | Graph | Checkpoint | Network,
    target: str | os.PathLike[str] | Profile = DEFAULT_TARGET,
    options: CompileOptions | None = None,
    calibration: ArrayLike | Data | None = None,
    progress: Progress | None = None,
    refusals: Refusals | None = None,
) -> Prepared:
    """Do what `compile_model` does before it needs the widths.

    Arguments and errors are those of `compile_model`; `refusals` may gather what is refused of
    names and widths, which are looked at first.
    """
    refusals = Refusals() if refusals is None else refusals
    options = checked_type(
        "options", CompileOptions() if options is None else options, CompileOptions
    )
    profile = load_profile(target)
    profile.compile_limits()  # refuses a target that cannot run programs
    graph, own_calibration = load_graph(model)
    for node in graph.nodes:
        refusals.attempt(node.name, partial(_check_name, node))
    _check_widths(options, profile, refusals)
    given = own_calibration if calibration is None else calibration
    data = None if given is None else Calibration.of(graph, given, progress)
    moments = StatisticsObserver(graph) if options.rounding == "adjusted" else None
    part = None if data is None else data.part
    # With a scale the user asks for static ones.
    keep = profile.support.channel_maximum and options.threshold_scale is None
    replaced, approximations = approximate(graph, options, part, moments, keep_thresholds=keep)
    approximated = fold(replaced)
    ranges, statistics = _observed(approximated, options, data, moments)
    statistics = statistics and _of_merged(statistics, replaced, approximated)
    source = {"model": graph.provenance} | ({} if data is None else {"calibration": data.stated()})
    return Prepared(approximated, approximations, ranges, statistics, options, profile, source)


def _observed(
    graph: Graph,
    options: CompileOptions,
    data: Calibration | None,
    moments: StatisticsObserver | None,
) -> tuple[Ranges, Mapping[str, InputStatistics] | None]:
    """Return ranges and statistics of a graph's tensors, walking over data once where needed."""
    calibrated = options.scaling == "calibrated"
    if data is None:
        if calibrated:
            raise InputError(
                "calibrated scaling needs data: give --calibration DATA.npz, or a checkpoint that "
                "carries a calibration batch"
            )
        return proved_ranges(graph), None
    extremes = RangeObserver(graph)
    wanted: list[Observer] = [extremes] if calibrated else []
    wanted += [] if moments is None or moments.complete else [moments]
    steps = (data.data if calibrated else data.part).steps.sum()
    meter = Meter(data.progress, "calibrating", steps)
    walk(graph, data.part, wanted, meter)
    if calibrated:
        walk(graph, data.rest, [extremes], meter)
    ranges = extremes.ranges(options.headroom_bits) if calibrated else proved_ranges(graph)
    return ranges, None if moments is None else moments.statistics()


def _of_merged(
    statistics: Mapping[str, InputStatistics], before: Graph, after: Graph
) -> Mapping[str, InputStatistics]:
    """Return the statistics, also under the names of Linear nodes that took an Affine's."""
    found = dict(statistics)
    old = {node.name: node for node in before.nodes}
    for node in after.nodes:
        if isinstance(node, LinearNode) and node.name not in found and node.name in old:
            merged = statistics.get(old[node.name].inputs[0])
            found |= {} if merged is None else {node.name: merged}
    return found


def _check_name(node: Node) -> None:
    """Refuse a node whose name could be that of a tensor that the compiler makes."""
    if SEPARATOR in node.name:
        raise InputError(
            f"node {node.name!r}: names with {SEPARATOR!r} are the compiler's own; rename it"
        )


def _check_widths(options: CompileOptions, profile: Profile, refusals: Refusals) -> None:
    limits = profile.compile_limits()
    for name, limit in (("weight", limits.weight_bits), ("residual", limits.message_bits)):
        everywhere = {"": options.widths} | {key: options.widths_of(key) for key in options.layers}
        for layer, widths in everywhere.items():
            where = f"width of {name}" + (f" in layer {layer}" if layer else "")
            work = partial(_check_width, where, getattr(widths, name), limit, profile.name)
            refusals.attempt(where, work)


def _check_width(where: str, bits: int, limit: int, target: str) -> None:
    if bits > limit:
        raise LimitError(
            f"{where}: {bits} bits, but target {target!r} has {limit}"
            "; use fewer bits or another target"
        )


def load_graph(model: object) -> tuple[Graph, Data | None]:
    """Return the float graph of a model, and the calibration batch if it brings one."""
    if isinstance(model, Graph):
        return model, None
    if isinstance(model, (str, os.PathLike)):
        path = as_path(model, "model")
        if is_hdf5(path):
            return Graph.load(path), None
        from neurossm.models.checkpoint import load

        model = load(path)
    from neurossm.models.checkpoint import Checkpoint
    from neurossm.models.export import export
    from neurossm.models.feedforward import Feedforward
    from neurossm.models.network import Network

    if isinstance(model, Checkpoint):
        samples, lengths = model.calibration, model.calibration_lengths
        return export(model), None if samples is None else Data(samples, lengths=lengths)
    if isinstance(model, Network | Feedforward):
        return export(model), None
    raise InputError(
        f"model: a {type(model).__name__} cannot be compiled; expected a Network of "
        "neurossm.models, what neurossm.load returns, a Graph, or the path of a checkpoint or graph"
    )
