"""Decide what names and shapes leave open: activation, norms, residual.

What an option or the configuration says is taken; what the code that writes such names has always
had is assumed, and said; the rest is asked for.
"""

from __future__ import annotations

from neurossm.errors import FormatError, InputError, UnsupportedError
from neurossm.importers.config_file import (
    ACTIVATIONS,
    NO_ACTIVATION,
    Config,
    activation_said,
    named,
    number,
)
from neurossm.importers.network import Found
from neurossm.importers.settings import Settings

USUAL_EPS = 1e-5
NORMS = ("batch", "layer", "group", "instance", "none")
_RESIDUALS = ("sum", "none")
_BASE = "the configuration leaves it to the one it stands on, model/base.yaml of its code"


def activation(found: Found, config: Config, settings: Settings) -> str:
    """Decide what stands after the SSM, or after the norm of a GSU.

    Raises
    ------
    InputError, UnsupportedError, FormatError
        If the option or the configuration names something that is not possible here.
    """
    given = settings.options.activation
    if found.layer == "spiking-ssm":
        _soma(found, settings)
        return "spike"
    if found.layer == "gsu":
        activation_said(config, found.layer, found.dialect)
        return _gsu_activation(found, settings)
    if given is not None:
        if given not in ACTIVATIONS:
            raise InputError(f"--activation {given}: possible here: {', '.join(ACTIVATIONS)}")
        settings.add("activation", given, "option")
        return given
    said = activation_said(config, found.layer, found.dialect)
    if said is not None:
        settings.add("activation", said, "config")
        return said
    suggestion = (
        "the paper's s4_surrogate has a spike and the third version of S4 a GELU under the same "
        "names"
        if found.dialect == "official"
        else "these are names of state-spaces/s4, whose code has GELU; only a network that was "
        "trained with a spike in its place has spike"
    )
    settings.ask(
        "activation",
        f"--activation spike, gelu or relu, what follows the SSM ({suggestion}; --check DATA.npz "
        "tries them)",
    )
    return "spike"


def _soma(found: Found, settings: Settings) -> None:
    """Record the neuron of a SpikingSSM.

    Raises
    ------
    InputError
        If the option names something else than spikes.
    """
    given, value = settings.options.activation, "LIF of decay 0.125 with hard reset"
    if given not in (None, "spike"):
        raise InputError(f"--activation {given}: possible here: spike")
    if found.state.has(f"{found.first}neuron."):
        note = (
            "in place of the network that approximates it in the file, whose spikes differ where "
            "the potential is near the threshold: docs/importing.md says how many"
        )
        settings.add("neuron", value, "assumed", note)
    else:
        settings.add("neuron", value, "names")


def _gsu_activation(found: Found, settings: Settings) -> str:
    if found.dialect == "s4d":  # its code has none
        settings.choose("activation", settings.options.activation, (), "none", ("none",))
        return "none"
    if settings.layer.get("activation", "gelu") in NO_ACTIVATION:
        settings.layer["activation"] = "none"
    return settings.choose(
        "activation", settings.options.activation, ("activation",), "gelu", ("gelu", "none")
    )


def norm(found: Found, config: Config, settings: Settings) -> str:
    """Decide of which kind the norms are.

    Raises
    ------
    InputError, UnsupportedError, FormatError
        If the option or the configuration contradicts the names, or is not known.
    """
    given, said = settings.options.norm, named(config.model.get("norm")).get("_name_")
    if given is not None and given not in NORMS:
        raise InputError(f"--norm {given}: possible are {', '.join(NORMS)}")
    if said is not None and said not in NORMS:
        raise UnsupportedError(f"{config.where}: model.norm: {said}; possible: batch, layer, none")
    possible = _norms_of(found)
    if given is not None and given not in possible:
        raise InputError(
            f"--norm {given}, but the state dict has {found.norm} norms; possible here: "
            f"{', '.join(possible)}"
        )
    if given is None and said is not None and said not in possible:
        raise FormatError(
            f"{config.where}: model.norm: {said}, but the state dict has {found.norm} norms"
        )
    if given is not None or said is not None:
        value = str(given or said)
        settings.add("norm", value, "option" if given else "config")
    elif found.norm == "batch" or found.layer == "spiking-ssm":  # whose code has no others
        value = found.norm
        settings.add("norm", value, "names")
    elif found.norm == "layer":
        value = "layer"
        if config.names_model:
            settings.add("norm", value, "assumed", f"{_BASE}; --norm changes it")
            return value
        settings.ask(
            "norm",
            "--norm layer, group or instance (GroupNorm, InstanceNorm and BatchNorm without "
            "statistics write the names of LayerNorm, which its code has)",
        )
    else:
        value = "layer"
        settings.ask(
            "norm",
            "--norm none or layer (the file has no weights of norms: either there are none, or "
            "they are without weights, elementwise_affine=False)",
        )
    return value


def _norms_of(found: Found) -> tuple[str, ...]:
    """Return the kinds of norms that would have written these names."""
    if found.norm == "batch" or found.layer == "spiking-ssm":
        return (found.norm,)
    affine = ("layer", "group", "instance")
    return affine if found.norm == "layer" else ("none", *affine)


def norm_eps(kind: str, config: Config, settings: Settings) -> float:
    """Decide what is added to the variance in a norm.

    Raises
    ------
    InputError, UnsupportedError
        If it is no positive number.
    """
    if kind == "none":
        return USUAL_EPS
    given, said = settings.options.norm_eps, named(config.model.get("norm")).get("eps")
    if given is not None:
        if not 0 < given < 1:
            raise InputError(f"--norm-eps {given:g}: must be between 0 and 1")
        settings.add("norm_eps", f"{given:g}", "option")
        return given
    if said is not None:
        value = number(said)
        if value is None or not 0 < value < 1:
            raise UnsupportedError(f"{config.where}: model.norm.eps: {said} is no small number")
        settings.add("norm_eps", f"{value:g}", "config")
        return value
    if "norm" in config.model:  # whose other values are the default of PyTorch
        settings.add("norm_eps", "1e-05", "config")
    else:
        note = "the default of PyTorch; --norm-eps changes it"
        settings.add("norm_eps", "1e-05", "assumed", note)
    return USUAL_EPS


def prenorm(found: Found, kind: str, config: Config, settings: Settings) -> bool:
    """Decide whether the norms of the blocks stand before their layers.

    Raises
    ------
    InputError, FormatError
        If the option or the configuration contradicts the names.
    """
    given, said = settings.options.prenorm, config.model.get("prenorm")
    if kind == "none":
        return bool(given if given is not None else said)
    if found.backbone.name == "sequence" and found.norm != "none":
        name = found.state.key(found.backbone.final_norm)[:-1]
        because = f"{name} is {'there' if found.final_norm else 'missing'}"
        if given not in (None, found.final_norm):
            raise InputError(f"--{'prenorm' if given else 'postnorm'}, but {because}")
        config.expect("model", "prenorm", found.final_norm, because)
        settings.add("prenorm", _yes(found.final_norm), "names")
        return found.final_norm
    if given is not None:
        settings.add("prenorm", _yes(given), "option")
        return given
    if isinstance(said, bool):
        settings.add("prenorm", _yes(said), "config")
        return said
    settings.ask(
        "prenorm",
        "--prenorm or --postnorm, the place of the norms (example.py has postnorm unless it was "
        "called with --prenorm)",
    )
    return False


def residual(found: Found, config: Config, settings: Settings) -> str:
    """Decide whether the input of a block is added to its output.

    Raises
    ------
    InputError
        If the option is not known.
    """
    given = settings.options.residual
    if given is not None:
        if given not in _RESIDUALS:
            raise InputError(f"--residual {given}: possible are {', '.join(_RESIDUALS)}")
        settings.add("residual", given, "option")
        return given
    if "residual" in config.model:
        settings.add("residual", "sum", "config")  # check_config refuses all others
    elif found.layer == "spiking-ssm":
        settings.add("residual", "sum", "names")
    elif config.names_model:
        settings.add("residual", "sum", "assumed", f"{_BASE}; --residual changes it")
    else:
        settings.ask(
            "residual",
            "--residual sum or none (whether a block's input is added to its output, as its code "
            "does)",
        )
    return "sum"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
