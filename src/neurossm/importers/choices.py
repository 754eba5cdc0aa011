"""Decide what names and shapes leave open: activation, place of the norms, kind of input."""

from __future__ import annotations

import math

from neurossm.errors import InputError, UnsupportedError
from neurossm.importers.config_file import NO_ACTIVATION, Config, number, spiking_kind
from neurossm.importers.network import Found
from neurossm.importers.settings import Settings
from neurossm.models.config import InputSpec


def activation(found: Found, config: Config, settings: Settings) -> str:
    """Decide what stands after the SSM, and return what stands after the norm of a GSU.

    Raises
    ------
    UnsupportedError
        If it is known that the layer does not spike.
    InputError
        If the option is not possible here.
    """
    given = settings.options.activation
    known = spiking_kind(config, given, found.layer, found.dialect)
    if found.layer == "gsu":
        return _gsu_activation(found, settings)
    if given not in (None, "spike"):
        raise UnsupportedError(
            f"--activation {given}: after the SSM of a layer that is to spike there must be a "
            "spike; models with GELU cannot be imported: Binary S4D or GSU is needed"
        )
    if given == "spike":
        settings.add("activation", "spike", "option")
    elif known is not None:
        settings.add("activation", "spike", "config")
    else:
        instead = "" if found.dialect == "official" else "in place of the GELU that its code has; "
        note = (
            f"{instead}a model with GELU has the same names, but is another function and cannot be "
            "imported; --activation spike confirms"
        )
        settings.add("activation", "spike", "assumed", note)
    return "gelu"  # of no effect in Binary S4D


def _gsu_activation(found: Found, settings: Settings) -> str:
    if found.dialect == "s4d":  # its code has none
        settings.choose("activation", settings.options.activation, (), "none", ("none",))
        return "none"
    if settings.layer.get("activation", "gelu") in NO_ACTIVATION:
        settings.layer["activation"] = "none"
    return settings.choose(
        "activation", settings.options.activation, ("activation",), "gelu", ("gelu", "none")
    )


def prenorm(found: Found, config: Config, settings: Settings) -> bool:
    """Decide whether the norms of the blocks stand before their layers.

    Raises
    ------
    InputError, FormatError
        If the option or the configuration contradicts the names.
    """
    given, said = settings.options.prenorm, config.model.get("prenorm")
    if found.norm == "none":
        return bool(given if given is not None else said)
    if found.backbone.name == "sequence":
        name = found.backbone.final_norm[:-1]
        because = f"{name} is {'there' if found.final_norm else 'missing'}"
        if given not in (None, found.final_norm):
            raise InputError(f"--{'' if given else 'no-'}prenorm, but {because}")
        config.expect("model", "prenorm", found.final_norm, because)
        settings.add("prenorm", _yes(found.final_norm), "names")
        return found.final_norm
    if given is not None:
        settings.add("prenorm", _yes(given), "option")
        return given
    if isinstance(said, bool):
        settings.add("prenorm", _yes(said), "config")
        return said
    settings.add("prenorm", "no", "assumed", "the default of example.py; --prenorm changes it")
    return False


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def input_spec(found: Found, config: Config, settings: Settings) -> InputSpec:
    """Decide what the network reads.

    Raises
    ------
    InputError
        If nothing tells, or the option contradicts the encoder.
    """
    given, size = settings.options.input, found.input_size
    if found.tokens:
        spec = parse_input(given or "tokens", size)
        if spec.kind != "tokens":
            raise InputError(f"--input {given}, but the encoder is an embedding: it takes tokens")
        settings.add("input", f"tokens below {size}", "option" if given else "names")
        return spec
    if given is None and config.dataset.get("_name_") == "mnist":
        settings.add("input", f"uint8 (pixels) of {size}", "config")
        return InputSpec.uint8(size)
    if given is None:
        raise InputError(
            f"{found.backbone.encoder}weight reads {size} value{'s' * (size != 1)} per step, whose "
            "kind no name tells: give --input uint8 (pixels, divided by 255) or --input "
            "float:LOW:HIGH"
        )
    spec = parse_input(given, size)
    if spec.kind == "tokens":
        raise InputError("--input tokens, but the encoder is linear: give uint8 or float:LOW:HIGH")
    shown = f"{spec.kind} of {size}"
    shown += f" in [{spec.low:g}, {spec.high:g}]" if spec.kind == "float" else ""
    settings.add("input", shown, "option")
    return spec


def parse_input(text: str, size: int) -> InputSpec:
    """Return what ``--input`` says of an encoder that reads `size` values or tokens.

    Raises
    ------
    InputError
        If it is not understood, or names another size.
    """
    kind, *rest = text.split(":")
    if kind == "float":
        ends = [number(part) for part in rest]
        low, high = ends if len(ends) == 2 else (None, None)
        if low is None or high is None or not math.isfinite(low) or not math.isfinite(high):
            raise InputError(f"--input {text}: give the range as float:LOW:HIGH, like float:-1:1")
        return InputSpec.real(size, low, high)
    if kind not in ("uint8", "tokens") or len(rest) > 1:
        raise InputError(f"--input {text}: expected uint8[:SIZE], tokens[:SIZE] or float:LOW:HIGH")
    if rest and rest[0] != str(size):
        raise InputError(f"--input {text}: the encoder reads {size}, not {rest[0]}")
    return InputSpec.uint8(size) if kind == "uint8" else InputSpec.tokens(size)
