"""The configuration of a training run (Hydra style): what it says of the function computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from neurossm.errors import FormatError, UnsupportedError
from neurossm.files import read_text

ACTIVATIONS = ("spike", "gelu", "relu")
NO_ACTIVATION = (None, "id", "identity", "linear")
_BINARY = ("s4_surrogate",)
_GSU = ("s4_gsu", "s4dfunnel", "s4d_funnel")
_CONTINUOUS = ("s4", "s4d", "standalone")
_RANDOM = ("s4dsurrogate", "s4d_surrogate")
_SPIKES = ("spike", "heaviside", "step", "binary")

POOLS = {"pool": "mean", "last": "last"}
"""Our names of the decoder's modes."""
_PIPELINE_MODES = {"imdb": "last", "listops": "last"}  # of the decoder, unless said otherwise

_NEEDED = "a model with S4D, Binary S4D or GSU layers is needed"

_LAYER_RULES: tuple[tuple[str, tuple[Any, ...], str], ...] = (
    ("bidirectional", (False, None), "it reads the future and cannot stream; train without"),
    ("channels", (1, None), "only channels: 1 is supported"),
    ("mode", ("diag", "s4d", None), "only diagonal kernels (mode: diag) are supported"),
    ("gate", (None,), "gated layers are not supported"),
    ("bottleneck", (None,), "bottlenecks are not supported"),
    ("hyper_act", (None,), "hyper-network products are not supported"),
    ("mult_act", NO_ACTIVATION, "nothing may stand between spike and output_linear"),
    ("bandlimit", (None,), "masked frequencies are not supported; set them to 0 in C"),
    ("dt_fast", (False, None), "only dt_fast: false is supported"),
    ("is_real", (False, None), "only complex kernels are supported"),
)


@dataclass(frozen=True)
class Config:
    """The parts of a configuration that matter here; empty where there is none.

    Attributes
    ----------
    where
        The file, for messages.
    model, layer, decoder, dataset
        Its sections; values that are missing or interpolated are left out.
    encoder
        Name of the encoder, or None.
    layer_name
        Name of the layer, from ``model.layer._name_`` or from a ``defaults`` list.
    """

    where: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    layer: Mapping[str, Any] = field(default_factory=dict)
    decoder: Mapping[str, Any] = field(default_factory=dict)
    dataset: Mapping[str, Any] = field(default_factory=dict)
    encoder: str | None = None
    layer_name: str | None = None

    @property
    def names_model(self) -> bool:
        """Whether it says anything of the network; the rest stands in what it is built on then."""
        return bool(self.model or self.layer or self.layer_name)

    def expect(self, section: str, key: str, found: Any, because: str) -> None:
        """Check that a number or truth value, where the configuration has it, is what the file has.

        Raises
        ------
        FormatError
            If they contradict each other.
        """
        said = getattr(self, section).get(key)
        if said is not None and isinstance(said, (bool, int)) and said != found:
            place = "model.layer" if section == "layer" else section
            raise FormatError(f"{self.where}: {place}.{key} is {said}, but {because} says {found}")


class _PlainLoader(yaml.SafeLoader):
    """Reads values without references to each other, of which a few lines can make billions."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("holds references (*name), which are not read; write them out")
        return super().compose_node(parent, index)


def load_config(path: Path) -> Config:
    """Read a YAML file: an experiment of the official code, or a resolved ``.hydra/config.yaml``.

    Raises
    ------
    InputError
        No such file.
    FormatError
        No YAML, or no configuration of a model.
    """
    text = read_text(path, "YAML")
    try:
        content = yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise FormatError(f"{path}: no YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(content, Mapping):
        raise FormatError(f"{path}: expected named values, such as model: and model.layer:")
    return parse_config(content, str(path))


def parse_config(content: Mapping[str, Any], where: str) -> Config:
    """Find the sections of a configuration; one of ``model:`` or ``layer:`` alone will do.

    Raises
    ------
    FormatError
        If it says nothing of a model or its data.
    UnsupportedError
        If the blocks have several layers each.
    """
    plain = _nested(content)
    composed = dict(_defaults(content.get("defaults")))
    model = plain.get("model")
    if isinstance(model, str):
        composed["model"], model = model, {}
    if model is None and ("layer" in plain or "d_model" in plain):
        model = plain
    model = model if isinstance(model, Mapping) else {}
    layers = model.get("layer", {} if model else plain if "d_state" in plain else {})
    if isinstance(layers, list):
        if len(layers) > 1:
            raise UnsupportedError(f"{where}: model.layer: several layers per block")
        layers = layers[0] if layers else {}
    layer = {"_name_": layers} if isinstance(layers, str) else layers
    layer = layer if isinstance(layer, Mapping) else {}
    dataset = named(plain.get("dataset", composed.get("dataset", composed.get("pipeline"))))
    decoder = dict(named(plain.get("decoder")))
    if composed.get("pipeline") in _PIPELINE_MODES:
        decoder.setdefault("mode", _PIPELINE_MODES[composed["pipeline"]])
    encoder = named(plain.get("encoder")).get("_name_")
    if not (model or layer or dataset or decoder or encoder or composed):
        raise FormatError(f"{where}: no model:, dataset:, encoder: or decoder: in it")
    name = layer.get("_name_") or composed.get("layer") or composed.get("model")
    return Config(where, model, layer, decoder, dataset, encoder, name)


def check_config(config: Config) -> None:
    """Refuse what the state dict may not show and our networks do not compute.

    Raises
    ------
    UnsupportedError
        With the key and the reason.
    """
    for key, accepted, reason in _LAYER_RULES:
        if key in config.layer and config.layer[key] not in accepted:
            value = config.layer[key]
            raise UnsupportedError(f"{config.where}: model.layer.{key}: {value}: {reason}")
    for name, reason in _model_problems(config.model):
        raise UnsupportedError(f"{config.where}: model.{name}: {reason}")
    mode = config.decoder.get("mode")
    if mode is not None and mode not in POOLS:
        raise UnsupportedError(
            f"{config.where}: decoder.mode: {mode}: the readout here is the mean over time "
            "(pool) or the last step (last)"
        )
    kind = config.decoder.get("_name_")
    if kind not in (None, "sequence", "nd"):
        raise UnsupportedError(f"{config.where}: decoder: {kind} is not supported; only sequence")


def _model_problems(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if model.get("_name_", "model") not in ("model", "spikingssm"):
        yield f"_name_: {model['_name_']}", "only the isotropic backbones are supported"
    if model.get("bidirectional"):
        yield "bidirectional: true", "it reads the future and cannot stream; train without"
    if "residual" in model:
        residual = named(model["residual"])
        plain = residual.get("_name_") in ("R", "residual")
        if not plain or residual.get("alpha", 1.0) != 1.0 or residual.get("beta", 1.0) != 1.0:
            yield f"residual: {model['residual']}", "only the plain sum (R) is supported"
    pool = named(model.get("pool"))
    if pool.get("stride", 1) not in (1, None) or pool.get("expand") is not None:
        yield f"pool: {dict(pool)}", "blocks that change the sequence's length or width"
    for part in ("encoder", "decoder"):
        if model.get(part) is not None:
            yield f"{part}: {model[part]}", "further encoders and decoders are not supported"


def activation_said(config: Config, names: str, dialect: str) -> str | None:
    """Return what the configuration says of the activation after the SSM, None if nothing.

    Parameters
    ----------
    config
        The configuration.
    names
        What the state dict has: ``binary-s4d`` or ``gsu``.
    dialect
        How it writes its kernels.

    Raises
    ------
    UnsupportedError
        If it is none that is known, or the layer spikes at random.
    FormatError
        If it is not the kind of layer that the state dict has.
    """
    name, said = config.layer_name, config.layer.get("activation")
    place = f"{config.where}: layer {name}"
    if name in _RANDOM:
        raise UnsupportedError(f"{place}: its spikes are drawn at random; {_NEEDED}")
    if (name in _GSU and names != "gsu") or (name in _BINARY and names == "gsu"):
        raise FormatError(f"{place}, but the state dict has {names} layers")
    if name in _BINARY:
        return "spike"
    if names == "gsu":
        return None
    if name is not None and name not in _CONTINUOUS:
        raise UnsupportedError(f"{place}: {_NEEDED}")
    if said in _SPIKES:
        return "spike"
    # The official s4_surrogate has `activation: gelu` in its configuration, too, and ignores it.
    if name not in _CONTINUOUS and (said is None or dialect == "official"):
        return None
    said = said if "activation" in config.layer else "gelu"
    if said not in ACTIVATIONS:
        raise UnsupportedError(
            f"{config.where}: activation {said} after the SSM; known are {', '.join(ACTIVATIONS)}; "
            "if the run had another one in its place, say --activation"
        )
    return str(said)


def number(value: Any) -> float | None:
    """Return a number; YAML 1.1 reads 1e-4 as text."""
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested sections without what is missing (???) or interpolated (${...})."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, str) and (value.startswith("${") or value == "???"):
            continue
        *path, last = str(key).split(".")
        place = result
        for part in path:
            inner = place.get(part)
            place[part] = place = dict(inner) if isinstance(inner, Mapping) else {}
        value = _nested(value) if isinstance(value, Mapping) else value
        known = place.get(last)
        merge = isinstance(value, Mapping) and isinstance(known, Mapping)
        place[last] = {**known, **value} if merge else value  # type: ignore[dict-item]
    return result


def _defaults(entries: Any) -> Iterator[tuple[str, str]]:
    """Yield the choices of a Hydra ``defaults`` list, such as model: s4_gsu, by their group."""
    for entry in entries if isinstance(entries, list) else []:
        for key, value in entry.items() if isinstance(entry, Mapping) else ():
            if isinstance(value, str):
                yield str(key).removeprefix("override ").rpartition("/")[2], value


def named(value: Any) -> Mapping[str, Any]:
    """Return a section that may be a bare name, a list of one, or absent."""
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else {"_name_": str(value)} if value else None
    if isinstance(value, str):
        return {"_name_": value}
    return value if isinstance(value, Mapping) else {}
