"""Configuration of a network: plain frozen data that travels inside every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from neurossm.errors import FormatError, InputError

InputKind = Literal["uint8", "tokens", "float", "counts"]
LayerKind = Literal["binary-s4d", "gsu", "s4d", "spiking-ssm"]
Initialisation = Literal["inv", "lin"]
Discretization = Literal["bilinear", "zoh"]
NormKind = Literal["batch", "layer", "none"]
PoolKind = Literal["mean", "last", "max", "none"]
ThresholdKind = Literal["dynamic", "static"]
GateNormKind = Literal["layer", "batch"]
Activation = Literal["gelu", "relu", "none"]

_ACTIVATIONS: dict[LayerKind, tuple[Activation, ...]] = {
    "gsu": ("gelu", "none"),
    "s4d": ("gelu", "relu"),
}

_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class InputSpec:
    """What the network reads at each time step.

    Parameters
    ----------
    kind
        ``uint8``: integers 0 to 255, which the model divides by 255; ``tokens``: indices into a
        vocabulary; ``float``: real values within ``[low, high]``; ``counts``: integers from 0 to
        ``high``, such as events in a bin of time.
    size
        Values per time step, or the number of tokens in the vocabulary.
    low, high
        Smallest and largest raw value; needed for ``float`` and ``counts``, implied by the others.
    """

    kind: InputKind
    size: int
    low: float = 0.0
    high: float = 255.0

    def __post_init__(self) -> None:
        _check_choices(self, "input")
        check_at_least("input.size", self.size, 1)
        if self.kind == "uint8" and (self.low, self.high) != (0.0, 255.0):
            raise InputError("input: kind uint8 has the range 0 to 255; leave low and high out")
        if not self.low < self.high:
            raise InputError(f"input: low {self.low} must be below high {self.high}")
        if self.kind == "counts" and not (self.low == 0 and self.high == int(self.high) < 1 << 30):
            raise InputError(
                f"input: counts from {self.low:g} to {self.high:g}; they begin at 0 and end at an "
                "integer below 2^30"
            )

    @classmethod
    def uint8(cls, size: int = 1) -> InputSpec:
        """Describe bytes, for example the pixels of an image read one after the other."""
        return cls("uint8", size)

    @classmethod
    def tokens(cls, size: int) -> InputSpec:
        """Describe tokens 0 to ``size - 1``."""
        return cls("tokens", size, 0.0, float(max(size - 1, 1)))

    @classmethod
    def counts(cls, size: int, high: int) -> InputSpec:
        """Describe ``size`` counts per step, each from 0 to ``high``."""
        return cls("counts", size, 0.0, float(high))

    @classmethod
    def real(cls, size: int, low: float, high: float) -> InputSpec:
        """Describe ``size`` real values per step, each within ``[low, high]``."""
        return cls("float", size, float(low), float(high))


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to build a network, apart from its weights.

    Parameters
    ----------
    layer
        The mixer of each block: ``binary-s4d``, ``gsu``, ``spiking-ssm``, or ``s4d``, which does
        not spike.
    input
        Kind and size of the input.
    classes
        Number of outputs of the decoder.
    n_layers, d_model, d_state
        Blocks, channels H, and state size: each channel has ``d_state / 2`` complex modes.
    n_ssm
        Number of independent state matrices; channel h uses the one of index ``h mod n_ssm``.
        None: one per channel.
    initialisation, discretization
        ``inv`` (S4D-Inv) or ``lin`` (S4D-Lin); ``bilinear`` or ``zoh``.
    dt_min, dt_max
        Range of the step sizes at initialisation (log-uniform).
    norm, prenorm
        Normalisation of the blocks and its place.
    final_norm
        Whether a prenorm network has a norm after its last block, too.
    dropout
        Probability that an output of a mixer is dropped in training.
    threshold, threshold_factor
        GSU: ``dynamic`` compares y with ``factor * max_h |y_h|`` at each step, ``static`` with
        one number per layer, the mean of that over data. The factor also serves the weights.
    gate_norm
        GSU: ``layer`` or ``batch``, after the product.
    activation
        GSU: ``gelu`` or ``none`` after that norm; None is ``gelu``. ``s4d``: ``gelu`` or ``relu``
        after the SSM; it must be given.
    pool
        What the decoder reads: the ``mean`` over time, the ``last`` step, or the largest value of
        each channel (``max``), of a sequence's valid steps; ``none``: every step, whose logits are
        its own.
    """

    layer: LayerKind
    input: InputSpec
    classes: int
    n_layers: int = 4
    d_model: int = 128
    d_state: int = 64
    n_ssm: int | None = None
    initialisation: Initialisation = "lin"
    discretization: Discretization = "zoh"
    dt_min: float = 0.001
    dt_max: float = 0.1
    norm: NormKind = "batch"
    prenorm: bool = True
    final_norm: bool = True
    dropout: float = 0.0
    threshold: ThresholdKind = "static"
    threshold_factor: float = 0.15
    gate_norm: GateNormKind = "layer"
    activation: Activation | None = None
    pool: PoolKind = "mean"

    def __post_init__(self) -> None:
        if self.layer == "gsu" and self.activation is None:
            object.__setattr__(self, "activation", "gelu")
        _check_choices(self, "model")
        self._check_activation()
        for name in ("classes", "n_layers", "d_model"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("d_state", self.d_state, 2)
        if self.d_state % 2:
            raise InputError(f"d_state: {self.d_state} is odd; modes come in conjugate pairs")
        if self.n_ssm is not None and (self.n_ssm < 1 or self.d_model % self.n_ssm):
            raise InputError(f"n_ssm: {self.n_ssm} does not divide d_model {self.d_model}")
        if not 0.0 < self.dt_min <= self.dt_max:
            raise InputError(f"dt_min {self.dt_min} and dt_max {self.dt_max}: 0 < min <= max")
        if not 0.0 <= self.dropout < 1.0:
            raise InputError(f"dropout: {self.dropout} is outside [0, 1)")
        if not 0.0 <= self.threshold_factor < 1.0:
            raise InputError(f"threshold_factor: {self.threshold_factor} is outside [0, 1)")

    def _check_activation(self) -> None:
        possible = _ACTIVATIONS.get(self.layer)
        if possible is None:  # checkpoints of Binary S4D may hold one, which has no effect
            known = (None, *get_args(Activation))
            possible = get_args(Activation)
        else:
            known = possible
        if self.activation not in known:
            found = "missing" if self.activation is None else repr(self.activation)
            listed = ", ".join(possible)
            raise InputError(f"model: activation is {found}; layer {self.layer} has {listed}")

    @property
    def modes(self) -> int:
        """Complex modes N per channel."""
        return self.d_state // 2

    @property
    def independent_ssms(self) -> int:
        """Number of state matrices that are not copies of each other."""
        return self.d_model if self.n_ssm is None else self.n_ssm

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain containers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Rebuild a configuration.

        Raises
        ------
        FormatError
            If a field is missing, unknown or of the wrong type.
        InputError
            If a value is out of range.
        """
        return build_config(cls, values)


def build_config(kind: type[_Kind], values: Mapping[str, Any]) -> _Kind:
    """Rebuild a configuration that has an `input`; FormatError or InputError say what is wrong."""
    plain = dict(values)
    plain["input"] = _build(InputSpec, plain.get("input", {}), "configuration.input")
    return _build(kind, plain, "configuration")


def _build(kind: type[_Kind], values: Any, place: str) -> _Kind:
    if not isinstance(values, Mapping):
        raise FormatError(f"{place}: expected named fields, found {type(values).__name__}")
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(str(key) for key in set(values) - known)
    if unknown:
        raise FormatError(f"{place}: unknown field {', '.join(unknown)}")
    hints = get_type_hints(kind)
    for name, value in values.items():
        if not _fits(value, hints[name]):
            shown = f"{value!r:.80}" if isinstance(value, _PLAIN) else f"a {type(value).__name__}"
            raise FormatError(f"{place}: {name} is {shown}, which is of another type than it has")
    try:
        return kind(**values)
    except TypeError as error:
        raise FormatError(f"{place}: {error}") from error


_PLAIN = (bool, int, float, str, type(None))


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a value from a file is of a field's type."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for option in options:
        if get_origin(option) is Literal:
            fits = isinstance(value, str)
        elif option in (bool, int, str, type(None)):
            fits = type(value) is option
        elif option is float:
            fits = type(value) in (int, float)
        else:
            fits = isinstance(value, get_origin(option) or option)
        if fits:
            return True
    return False


def _check_choices(config: Any, place: str) -> None:
    for name, hint in get_type_hints(type(config)).items():
        choices = get_args(hint)
        if choices and all(isinstance(choice, str) for choice in choices):
            value = getattr(config, name)
            if value not in choices:
                listed = ", ".join(choices)
                raise InputError(f"{place}: {name} is {value!r}; known are {listed}")


def check_at_least(name: str, value: int, least: int) -> None:
    """Refuse what is no integer of at least so much."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name}: {value!r} must be an integer of at least {least}")
