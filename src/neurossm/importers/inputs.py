"""Decide what a network reads: kind, range, and a normalisation to fold into the encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from neurossm.errors import InputError
from neurossm.importers.config_file import Config, number
from neurossm.importers.network import Found
from neurossm.importers.settings import Settings
from neurossm.models.config import InputSpec

_HOW = (
    "--input uint8 (pixels, divided by 255; with --mean M --std S, or one of each per channel "
    "separated by commas, if they were normalised) or --input float:LOW:HIGH (per channel: "
    "float:L1,L2:H1,H2)"
)


@dataclass(frozen=True)
class Normalisation:
    """``(x / 255 - mean) / std``, per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def fold(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights, in float64, that compute the same of pixels that are only divided."""
        mean = torch.tensor(self.mean, dtype=torch.float64)
        std = torch.tensor(self.std, dtype=torch.float64)
        weight = state["encoder.weight"].double() / std  # (H, size)
        double = {k: v.double() if v.is_floating_point() else v for k, v in state.items()}
        bias = double["encoder.bias"] - weight @ mean
        return {**double, "encoder.weight": weight, "encoder.bias": bias}


def input_spec(
    found: Found, config: Config, settings: Settings
) -> tuple[InputSpec, Normalisation | None]:
    """Decide what the network reads, and what it did to pixels before its encoder.

    Raises
    ------
    InputError
        If the option contradicts the encoder.
    """
    given, size = settings.options.input, found.input_size
    normalisation = _normalisation(found, settings)
    if found.tokens:
        spec = parse_input(given or "tokens", size)
        if spec.kind != "tokens":
            raise InputError(f"--input {given}, but the encoder is an embedding: it takes tokens")
        settings.add("input", f"tokens below {size}", "option" if given else "names")
        return spec, None
    if given is None and (normalisation or config.dataset.get("_name_") == "mnist"):
        settings.add("input", f"uint8 (pixels) of {size}", "option" if normalisation else "config")
        return InputSpec.uint8(size), normalisation
    if given is None:
        key = found.state.key(f"{found.backbone.encoder}weight")
        values = f"{size} value{'s' * (size != 1)}"
        settings.ask("input", f"{_HOW}, of which {key} reads {values} per step")
        return InputSpec.real(size, 0.0, 1.0), None
    spec = parse_input(given, size)
    if spec.kind == "tokens":
        raise InputError("--input tokens, but the encoder is linear: give uint8 or float:LOW:HIGH")
    if normalisation and spec.kind != "uint8":
        raise InputError(f"--mean and --std: only pixels (--input uint8) have them, not {given}")
    shown = f"{spec.kind} of {size}"
    shown += f" in [{spec.low:g}, {spec.high:g}]" if spec.kind in ("float", "counts") else ""
    settings.add("input", shown, "option")
    return spec, normalisation


def _normalisation(found: Found, settings: Settings) -> Normalisation | None:
    mean, std = settings.options.mean, settings.options.std
    if mean is None and std is None:
        return None
    if found.tokens:
        raise InputError("--mean and --std: the encoder is an embedding: it takes tokens")
    size = found.input_size
    made = Normalisation(
        _numbers("--mean", "0" if mean is None else mean, size),
        _numbers("--std", "1" if std is None else std, size),
    )
    if min(made.std) <= 0:
        raise InputError(f"--std {std}: must be positive")
    settings.add("normalisation", f"mean {mean or 0}, std {std or 1}", "option")
    return made


def _numbers(option: str, text: str, size: int) -> tuple[float, ...]:
    """Return one number per channel of a text that has one, or one for all."""
    values = [number(part) for part in text.split(",")]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if len(finite) != len(values) or len(values) not in (1, size):
        raise InputError(f"{option} {text}: give one number, or {size} separated by commas")
    return tuple(finite * size if len(finite) == 1 else finite)


def parse_input(text: str, size: int) -> InputSpec:
    """Return what ``--input`` says of an encoder that reads `size` values or tokens.

    Ranges per channel become the one that holds them all.

    Raises
    ------
    InputError
        If it is not understood, or names another size.
    """
    kind, *rest = text.split(":")
    if kind == "float":
        if len(rest) != 2:
            raise InputError(f"--input {text}: give the range as float:LOW:HIGH, like float:-1:1")
        low, high = (_numbers(f"--input {text}:", part, size) for part in rest)
        for a, b in zip(low, high, strict=True):
            if not a < b:
                raise InputError(f"--input {text}: low {a:g} must be below high {b:g}")
        return InputSpec.real(size, min(low), max(high))
    if kind == "counts":
        if len(rest) != 1 or not rest[0].isdecimal() or int(rest[0]) < 1:
            raise InputError(
                f"--input {text}: give the largest count as counts:HIGH, like counts:9"
            )
        return InputSpec.counts(size, int(rest[0]))
    if kind not in ("uint8", "tokens") or len(rest) > 1:
        raise InputError(
            f"--input {text}: expected uint8[:SIZE], tokens[:SIZE], counts:HIGH or float:LOW:HIGH"
        )
    if rest and rest[0] != str(size):
        raise InputError(f"--input {text}: the encoder reads {size}, not {rest[0]}")
    return InputSpec.uint8(size) if kind == "uint8" else InputSpec.tokens(size)
