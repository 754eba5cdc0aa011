"""From a foreign checkpoint to a network of ours that computes the same function."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.datafile import Data
from neurossm.errors import FormatError, InputError, NeuroSSMError
from neurossm.files import as_path
from neurossm.graph.data import check_sequences
from neurossm.graph.sequences import Sequences
from neurossm.importers import choices
from neurossm.importers.archive import Source, read_source
from neurossm.importers.config_file import (
    POOLS,
    Config,
    check_config,
    load_config,
    number,
    parse_config,
)
from neurossm.importers.deployable import check_deployable, with_usual_eps
from neurossm.importers.inputs import input_spec
from neurossm.importers.network import Found, discard_norms, look, translate
from neurossm.importers.reading import Reading
from neurossm.importers.settings import ImportOptions, Setting, Settings
from neurossm.importers.sparch import is_sparch, read_sparch
from neurossm.models.checkpoint import build, save
from neurossm.models.config import InputSpec, LayerKind
from neurossm.models.feedforward import Feedforward
from neurossm.models.network import Network

_INITIALISATIONS = {"diag-inv": "inv", "diag-lin": "lin"}


@dataclass(frozen=True, eq=False)
class Imported:
    """A network made from a foreign checkpoint.

    Attributes
    ----------
    model
        The network, in evaluation mode.
    settings
        What was found, said or assumed, one by one.
    notes
        What to know besides, one line each.
    source
        Name of the file.
    sha256
        Its digest.
    calibration, calibration_lengths
        Raw input samples to travel with the network, or None, and the valid steps of each, None
        where they are all.
    """

    model: Network | Feedforward
    settings: tuple[Setting, ...]
    notes: tuple[str, ...]
    source: str
    sha256: str
    calibration: NDArray[np.generic] | None = None
    calibration_lengths: IntArray | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint; where it came from stands in ``training["imported"]``."""
        training = {"imported": self.provenance()}
        save(
            path,
            self.model,
            self.calibration,
            training,
            calibration_lengths=self.calibration_lengths,
        )

    def provenance(self) -> dict[str, Any]:
        """Return where the network comes from as plain values."""
        return {
            "imported_from": self.source,
            "source_sha256": self.sha256,
            "settings": {
                setting.name: {"value": setting.value, "origin": setting.origin}
                for setting in self.settings
            },
        }


def import_checkpoint(
    path: str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    options: ImportOptions | None = None,
    calibration: NDArray[np.generic] | Data | None = None,
) -> Imported:
    """Read a checkpoint of another project; `docs/importing.md` lists which.

    Parameters
    ----------
    path
        A state dict, bare or in a dict, or a Lightning checkpoint.
    config
        The YAML it was trained with; a Lightning checkpoint may bring its own.
    options
        What neither tells.
    calibration
        Raw input samples for a later compilation.

    Raises
    ------
    InputError
        A file is missing, an option is needed, or the calibration does not suit.
    FormatError
        No checkpoint of these projects, or its parts contradict each other.
    UnsupportedError
        The network is none that can be compiled; the message says which part.
    """
    path, options = as_path(path, "checkpoint"), options or ImportOptions()
    source = read_source(path, options.which)
    known = config_of(source, config)
    try:
        if is_sparch(source.weights):
            return _import_sparch(source, config is not None, options, calibration)
        return _import(source, known, options, calibration)
    except NeuroSSMError as error:
        raise type(error)(f"{path}: {error}") from error


def config_of(source: Source, path: str | os.PathLike[str] | None) -> Config:
    """Return the configuration of a file: one of its own, or the one given."""
    if path is not None:
        return load_config(as_path(path, "config"))
    if source.config is not None:
        try:
            return parse_config(source.config, "hyper_parameters")
        except FormatError:
            return Config()  # other projects keep other things there
    return Config()


def decide(source: Source, config: Config, options: ImportOptions) -> tuple[Reading, Settings]:
    """Read a file in one way; what only the user can tell stands in the settings' `questions`.

    Raises
    ------
    NeuroSSMError
        If the file is no network of these projects, or contradicts options or configuration.
    """
    found = look(source.weights)
    check_config(config)
    settings = Settings(options, config.layer)
    norm = choices.norm(found, config, settings)
    activation = choices.activation(found, config, settings)
    _record_names(found, activation, config, settings)
    prenorm = choices.prenorm(found, norm, config, settings)
    if found.layer == "spiking-ssm" and not prenorm and norm != "none":
        discard_norms(found)
        settings.record = [setting for setting in settings.record if setting.name != "norm"]
        settings.add("norm_outputs", "discarded, as its code does with prenorm: false", "names")
        norm, found = "none", replace(found, norm="none")
    eps = choices.norm_eps(norm, config, settings)
    residual = choices.residual(found, config, settings)
    bare = norm != "none" and found.norm == "none"  # norms without weights
    found = replace(
        found,
        norm="batch" if norm == "batch" else "none" if norm == "none" else "layer",
        final_norm=prenorm and found.backbone.name == "sequence" if bare else found.final_norm,
    )
    spec, normalisation = input_spec(found, config, settings)
    state, kernel = translate(found, settings)
    if normalisation is not None:
        state = normalisation.fold(state)
    reading = Reading(
        found,
        activation,
        norm,
        eps,
        prenorm,
        residual,
        kernel.discretization,
        spec,
        kernel.exact,
        state,
    )
    return reading, settings


def _import(
    source: Source,
    config: Config,
    options: ImportOptions,
    calibration: NDArray[np.generic] | Data | None,
) -> Imported:
    reading, settings = decide(source, config, options)
    check_deployable(reading)  # of what is already known; no use in asking further
    settings.require_answers()
    spec, state = reading.input, reading.state
    if reading.norm == "batch" and reading.norm_eps != choices.USUAL_EPS:
        state = with_usual_eps(state, reading.norm_eps)
    values = _model_config(reading, config) | {"pool": pool_of(config, options)}
    model = build(values, state)
    samples = None if calibration is None else _samples(spec, calibration)
    return Imported(
        model,
        tuple(settings.record),
        tuple(_notes(source, config, reading)),
        source.path.name,
        source.sha256,
        None if samples is None else samples.x,
        None if samples is None else samples.lengths,
    )


def _import_sparch(
    source: Source,
    configured: bool,
    options: ImportOptions,
    calibration: NDArray[np.generic] | Data | None,
) -> Imported:
    if configured:
        raise InputError(
            "--config: nothing is read from configurations of this family; say it with --neuron "
            "and --input"
        )
    if options.pool is not None:
        raise InputError("--pool: networks of this family have a readout of their own")
    settings = Settings(options, {})
    read = read_sparch(source.weights, settings)
    settings.require_answers()
    model = build(read.config, read.state)
    spec = model.config.input
    samples = None if calibration is None else _samples(spec, calibration)
    notes = (*source.weights.notes, *read.notes)
    return Imported(
        model,
        tuple(settings.record),
        notes,
        source.path.name,
        source.sha256,
        None if samples is None else samples.x,
        None if samples is None else samples.lengths,
    )


def _layer(found: Found, activation: str) -> LayerKind:
    """Return the layer of `neurossm.models` that names and activation make."""
    return "s4d" if found.layer == "binary-s4d" and activation != "spike" else found.layer


def _record_names(found: Found, activation: str, config: Config, settings: Settings) -> None:
    """Record what names and shapes say, and check that the configuration says the same."""
    sizes = found.sizes
    config.expect("model", "d_model", sizes.channels, sizes.source)
    config.expect("layer", "d_state", 2 * sizes.modes, sizes.source)
    config.expect("layer", "n_ssm", sizes.independent, sizes.source)
    repeats = config.model.get("n_repeat", 1)
    if isinstance(repeats, int) and isinstance(config.model.get("n_layers"), int):
        said = {"n_layers": repeats * config.model["n_layers"]}
        Config(config.where, said).expect("model", "n_layers", found.blocks, "the state dict")
    _check_encoder(found, config)
    settings.add("layer", _layer(found, activation), "names")
    settings.add("blocks", found.blocks, "names")
    settings.add("d_model", sizes.channels, "names")
    settings.add("d_state", 2 * sizes.modes, "names")
    settings.add("n_ssm", sizes.independent, "names")
    encoder = "embedding" if found.tokens else "linear"
    settings.add("encoder", f"{encoder} of {found.input_size}", "names")
    settings.add("classes", found.classes, "names")
    mode, pool = config.decoder.get("mode"), _READOUTS[pool_of(config, settings.options)]
    if settings.options.pool is not None:
        settings.add("readout", pool, "option")
    else:
        note = "" if mode else "decoder mode pool; --pool changes it"
        settings.add("readout", pool, "config" if mode else "assumed", note)


_READOUTS = {"mean": "mean over time", "last": "last step", "max": "largest value over time"}


def pool_of(config: Config, options: ImportOptions) -> str:
    """Return what the decoder reads, of what a checked configuration and the user say."""
    if options.pool is not None and options.pool not in _READOUTS:
        raise InputError(f"--pool {options.pool}: possible here: {', '.join(_READOUTS)}")
    return options.pool or POOLS.get(str(config.decoder.get("mode")), "mean")


def _check_encoder(found: Found, config: Config) -> None:
    wanted = "embedding" if found.tokens else "linear"
    if config.encoder not in (None, wanted):
        raise FormatError(
            f"{config.where}: encoder: {config.encoder}, but {found.backbone.encoder}weight is "
            f"that of a {wanted} encoder"
        )


def _model_config(reading: Reading, config: Config) -> dict[str, Any]:
    found, spec = reading.found, reading.input
    channels = found.sizes.channels
    independent = len(reading.state["blocks.0.mixer.ssm.A_imag"])
    values: dict[str, Any] = {
        "layer": _layer(found, reading.activation),
        "input": {"kind": spec.kind, "size": spec.size, "low": spec.low, "high": spec.high},
        "classes": found.classes,
        "n_layers": found.blocks,
        "d_model": channels,
        "d_state": 2 * found.sizes.modes,
        "n_ssm": None if independent == channels else independent,
        "discretization": reading.discretization,
        "norm": reading.norm,
        "prenorm": reading.prenorm,
        "final_norm": found.final_norm,
        "threshold": "dynamic",
    }
    if reading.activation != "spike":
        values["activation"] = reading.activation
    # The rest has no effect on the function; it is kept for training on.
    measure = config.layer.get("measure") or config.layer.get("init")
    if measure in _INITIALISATIONS:
        values["initialisation"] = _INITIALISATIONS[measure]
    low, high = number(config.layer.get("dt_min")), number(config.layer.get("dt_max"))
    if low is not None and high is not None and 0 < low <= high:
        values |= {"dt_min": low, "dt_max": high}
    dropout = number(config.model.get("dropout"))
    if dropout is not None and 0 <= dropout < 1:
        values["dropout"] = dropout
    return values


def _samples(spec: InputSpec, calibration: NDArray[np.generic] | Data) -> Sequences:
    given = calibration if isinstance(calibration, Data) else Data(calibration)
    samples = check_sequences(spec, given.x, given.lengths, "--calibration")
    x = samples.x[..., 0] if spec.kind == "tokens" else samples.x
    return Sequences(x, samples.lengths)


def _notes(source: Source, config: Config, reading: Reading) -> list[str]:
    notes = [*source.weights.notes]
    if source.left_out:
        shown = ", ".join(source.left_out[:3])
        more = f" and {len(source.left_out) - 3} more" if len(source.left_out) > 3 else ""
        notes.append(f"objects left out of the file, because loading them runs code: {shown}{more}")
    if config.where == "hyper_parameters":
        notes.append("configuration taken from the file's hyper_parameters")
    longest = config.layer.get("l_max") or config.dataset.get("__l_max")
    if isinstance(longest, int):
        notes.append(
            f"l_max {longest}: the original forgets what lies further back, this network does not"
        )
    if config.dataset.get("_name_") == "mnist" and config.dataset.get("permute", True):
        notes.append("permuted MNIST: give the pixels in the permuted order")
    if not reading.exact:
        notes.append("kernel parameters converted; the checkpoint is in float64 to keep them")
    return notes
