"""Check a file: all that would be refused, all that is odd, and what integers make of it."""

from __future__ import annotations

import os
from pathlib import Path

from numpy.typing import ArrayLike

from neurossm.checking.activity import activity_findings, activity_of, saturation_findings
from neurossm.checking.compiling import (
    as_problems,
    compile_for_refusals,
    place_for_refusals,
    with_maximum,
)
from neurossm.checking.fit import fit_of
from neurossm.checking.ledger import ledger_of
from neurossm.checking.record import Examination, Finding, Problem, SpikeActivity
from neurossm.checking.subject import Subject, kind_of, open_subject
from neurossm.checking.unusual import unusual_findings
from neurossm.checks import checked_type
from neurossm.compile.options import DEFAULT_TARGET, CompileOptions
from neurossm.datafile import Data, samples_of
from neurossm.errors import NeuroSSMError
from neurossm.files import as_path, require_regular
from neurossm.hw_profiles import Profile, load_profile, profile_of
from neurossm.program import Program
from neurossm.program.certificate import certificates
from neurossm.progress import Progress
from neurossm.refusals import Refusal

_EVERYTHING = ("parameters", "activity", "integers", "placement")


def check(
    path: str | os.PathLike[str],
    target: str | os.PathLike[str] | Profile | None = None,
    options: CompileOptions | None = None,
    data: ArrayLike | Data | str | Path | None = None,
    hw: str | os.PathLike[str] | Profile | None = None,
    progress: Progress | None = None,
) -> Examination:
    """Find every problem of a file at once.

    A model is compiled, with the compiler's own passes, and placed; a program is placed. Nothing
    is written. Float networks are evaluated on samples to see which spikes never come.

    Parameters
    ----------
    path
        A checkpoint, a file of another project, a float graph or a program.
    target
        What a model is compiled for; None for the default. Programs have their own.
    options
        As for `neurossm.compile_model`.
    data
        Samples to calibrate on and to count spikes on: a `DATA.npz`, or an array; None for those
        that a checkpoint brings. Without any, nothing is said of activity.
    hw
        The profile to place on, where it is not the target's.
    progress
        Told how far walks over the data are; see `neurossm.progress`.

    Raises
    ------
    InputError
        No such file, unknown target, or data that do not suit. What is wrong with the file itself
        is a problem of the result.
    """
    path = as_path(path, "file")
    require_regular(path)
    options = checked_type(
        "options", CompileOptions() if options is None else options, CompileOptions
    )
    profile = load_profile(DEFAULT_TARGET if target is None else target)
    try:
        subject = open_subject(path)
    except NeuroSSMError as error:
        problems = as_problems([Refusal(str(path), error)])
        return Examination(
            file=path.name,
            kind=kind_of(path),
            target=profile.name,
            hw=profile.name if hw is None else load_profile(hw).name,
            problems=problems,
            not_checked=_EVERYTHING,
            findings=(),
            activity=None,
            fit=None,
            tensors=(),
            ledger=(),
        )
    if subject.program is not None:
        profile = profile_of(subject.program) if target is None else profile
    placed_on = profile if hw is None else load_profile(hw)
    samples = subject.calibration
    if data is not None:
        classes = subject.graph.channels()[subject.graph.output.name]
        samples = samples_of(subject.graph.input, classes, data)
    return _examined(path.name, subject, profile, placed_on, options, samples, progress)


def _examined(
    name: str,
    subject: Subject,
    target: Profile,
    hw: Profile,
    options: CompileOptions,
    samples: Data | None,
    progress: Progress | None,
) -> Examination:
    problems: tuple[Problem, ...] = ()
    not_checked: tuple[str, ...] = ()
    program, remark = subject.program, ""
    if program is None:
        compiled = compile_for_refusals(subject.graph, target, options, samples, progress)
        problems, not_checked, program = compiled.problems, compiled.not_checked, compiled.program
        remark = compiled.assumed
        hw = with_maximum(hw) if compiled.dynamic_thresholds else hw
    fit = None
    if program is not None:
        placement, refused = place_for_refusals(program, hw, remark)
        problems += refused
        fit = None if placement is None else fit_of(placement, hw)
    findings, activity = _looked_at(subject, options, samples, program, progress)
    return Examination(
        name,
        subject.kind,
        target.name,
        hw.name,
        problems,
        not_checked,
        tuple(findings),
        activity,
        fit,
        () if program is None else certificates(program),
        () if program is None else ledger_of(program),
    )


def _looked_at(
    subject: Subject,
    options: CompileOptions,
    samples: Data | None,
    program: Program | None,
    progress: Progress | None,
) -> tuple[list[Finding], SpikeActivity | None]:
    activity = None if samples is None else activity_of(subject.graph, samples, progress)
    findings = [] if activity is None else activity_findings(activity)
    proved = program is None or all(row.proved for row in certificates(program))
    if samples is not None and program is not None and not proved:
        findings += saturation_findings(program, samples)
    findings += unusual_findings(subject.graph, options.pole_margin_log2, subject.model)
    return findings, activity
