"""Compile for the sake of every refusal: after one, go on as if its layer had the widest numbers.

The passes are the compiler's; what they refuse is gathered (`neurossm.refusals`). What depends on a
refused piece cannot be looked at. So the layers in which something was refused are compiled again
with the widest poles and states there are, until nothing new is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from neurossm.checking.record import Problem
from neurossm.compile import CompileOptions, Prepared, prepare
from neurossm.compile.options import WIDTH_RANGES
from neurossm.compile.precision import layer_widths
from neurossm.datafile import Data
from neurossm.errors import NeuroSSMError
from neurossm.graph import Graph
from neurossm.hw_profiles import Profile
from neurossm.place.placement import Placement, place
from neurossm.program import Program
from neurossm.progress import Progress
from neurossm.refusals import Refusal, Refusals

_WIDENED = ("pole", "state")
"""The widths that refusals ask to be wider."""
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class CompileAttempt:
    """What became of a graph: the program if there is one, and everything that was refused.

    Parameters
    ----------
    problems
        What was refused.
    not_checked
        What could not be looked at.
    program
        None where something is left that nothing works around.
    assumed
        Under which assumption there is a program; empty where it is what the user would get.
    dynamic_thresholds
        Whether it was compiled as if the target knew the largest of all channels.
    """

    problems: tuple[Problem, ...]
    not_checked: tuple[str, ...]
    program: Program | None = None
    assumed: str = ""
    dynamic_thresholds: bool = False


def compile_for_refusals(
    graph: Graph,
    target: Profile,
    options: CompileOptions,
    data: Data | None,
    progress: Progress | None,
) -> CompileAttempt:
    """Compile a graph, and gather all that is refused before it is placed."""
    early = Refusals(gathering=True)
    try:
        prepared = prepare(graph, target, options, data, progress, early)
        assumed = ""
    except NeuroSSMError as error:
        early.found.append(Refusal("", error))
        try:  # a threshold that cannot be calibrated hides all the rest
            prepared = prepare(graph, with_maximum(target), options, data, progress)
            assumed = "with the thresholds of each step kept"
        except NeuroSSMError:
            return CompileAttempt(as_problems(early.found), ("integers", "placement"))
    prepared = replace(prepared, options=_allowed(options, prepared.profile))
    late, widened, program = _compiled(prepared, assumed)
    problems, left = as_problems(early.found) + late, () if program else ("placement",)
    return CompileAttempt(problems, left, program, _joined(assumed, widened), bool(assumed))


def with_maximum(profile: Profile) -> Profile:
    """Return a profile as if its neurons knew the largest of all channels."""
    return replace(profile, support=replace(profile.support, channel_maximum=True))


def _joined(assumed: str, widened: Iterable[str]) -> str:
    names = ", ".join(widened)
    wide = f"with the widest {' and '.join(_WIDENED)} in {names}" if names else ""
    return ", ".join(part for part in (assumed, wide) if part)


def _compiled(
    prepared: Prepared, assumed: str
) -> tuple[tuple[Problem, ...], tuple[str, ...], Program | None]:
    problems: dict[tuple[str, str], Problem] = {}
    widened: dict[str, Mapping[str, int]] = {}
    for _ in range(_ROUNDS):
        refusals = Refusals(gathering=True)
        program: Program | None = None
        try:
            layers = {**prepared.options.layers, **widened}
            program = prepared.program(layers=layers, refusals=refusals)
        except NeuroSSMError as error:
            if all(refusal.error is not error for refusal in refusals.found):
                refusals.found.append(Refusal("", error))
        known = {where for where, _ in problems}
        for problem in as_problems(refusals.found, _joined(assumed, widened)):
            if problem.where not in known:
                problems[problem.where, problem.what] = problem
        wider = _widened(prepared, refusals.found)
        if program is not None or wider.keys() <= widened.keys():
            break
        widened |= wider
    return tuple(problems.values()), tuple(widened), program


def _widened(prepared: Prepared, found: list[Refusal]) -> dict[str, Mapping[str, int]]:
    """Return the layers of what is refused, with the widest numbers they could have."""
    known = {node.name: node for node in prepared.graph.nodes}
    layers = {known[refusal.where].layer for refusal in found if refusal.where in known}
    try:
        uses = layer_widths(prepared.graph) if layers else {}
    except NeuroSSMError:  # of a node without an integer form
        return {}
    own = prepared.options.layers
    wider = {
        layer: {name: WIDTH_RANGES[name][1] for name in _WIDENED if name in uses.get(layer, ())}
        for layer in sorted(layers)
    }
    return {layer: {**own.get(layer, {}), **widths} for layer, widths in wider.items() if widths}


def _allowed(options: CompileOptions, profile: Profile) -> CompileOptions:
    """Return the options with widths that the target has: those beyond are refused already."""
    limits = profile.compile_limits()
    most = {"weight": limits.weight_bits, "residual": limits.message_bits}
    own = {name: min(getattr(options.widths, name), bits) for name, bits in most.items()}
    layers = {
        layer: {name: min(bits, most.get(name, bits)) for name, bits in widths.items()}
        for layer, widths in options.layers.items()
    }
    return replace(options, widths=replace(options.widths, **own), layers=layers)


def place_for_refusals(
    program: Program, hw: Profile, remark: str = ""
) -> tuple[Placement | None, tuple[Problem, ...]]:
    """Place a program, and gather all that is refused."""
    refusals = Refusals(gathering=True)
    try:
        return place(program, hw, refusals), ()
    except NeuroSSMError as error:
        if all(refusal.error is not error for refusal in refusals.found):
            refusals.found.append(Refusal("", error))
        return None, as_problems(refusals.found, remark)


def as_problems(found: list[Refusal], remark: str = "") -> tuple[Problem, ...]:
    """Return refusals in parts, by the form that every message has: `where: what; way out`."""
    problems: dict[tuple[str, str], Problem] = {}
    for refusal in found:
        where, message = refusal.where, str(refusal.error)
        if not where and ": " in message:
            where = message.partition(": ")[0]
        message = message.removeprefix(f"{where}: ")
        what, separator, way_out = message.rpartition("; ")
        if not separator:
            what, way_out = message, ""
        error = type(refusal.error).__name__
        problem = Problem(where or "the network", what, way_out, error, remark)
        problems.setdefault((problem.where, what), problem)
    return tuple(problems.values())
