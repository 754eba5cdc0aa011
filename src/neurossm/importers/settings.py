"""What a state dict cannot tell: taken from an option, else a configuration, else assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from neurossm.errors import InputError, UnsupportedError

Origin = Literal["names", "config", "option", "assumed"]


@dataclass(frozen=True)
class ImportOptions:
    """What the user says; None leaves a choice to the configuration or to the usual value.

    Parameters
    ----------
    input
        ``uint8``, ``uint8:SIZE``, ``tokens``, ``tokens:SIZE``, ``counts:HIGH`` or
        ``float:LOW:HIGH``.
    discretization
        ``bilinear`` or ``zoh``.
    real_transform, dt_transform
        How the file writes the real part of A, and dt: ``exp`` (the logarithm is stored),
        ``none``, ``relu``, ``sigmoid`` or ``softplus``.
    activation
        After the SSM (``spike``, ``gelu`` or ``relu``) or after the norm in a GSU (``gelu`` or
        ``none``).
    prenorm
        Whether the norm of a block stands before its layer.
    norm
        ``batch``, ``layer``, ``group`` (one group), ``instance`` or ``none``.
    norm_eps
        What is added to the variance in a norm.
    residual
        ``sum`` (the input of a block is added to its output) or ``none``.
    mean, std
        Of ``uint8``: what was subtracted from pixels divided by 255, and what they were divided by
        then; one number, or one per channel separated by commas.
    which
        The set of weights, where the file holds several.
    neuron
        ``cadlif`` or ``adlif``, whose files have the same names.
    pool
        What the decoder reads: ``mean`` over time, ``last`` step or ``max``.
    """

    input: str | None = None
    discretization: str | None = None
    real_transform: str | None = None
    dt_transform: str | None = None
    activation: str | None = None
    prenorm: bool | None = None
    norm: str | None = None
    norm_eps: float | None = None
    residual: str | None = None
    mean: str | None = None
    std: str | None = None
    which: str | None = None
    neuron: str | None = None
    pool: str | None = None


@dataclass(frozen=True)
class Setting:
    """One property of the imported model, and where it is known from.

    Attributes
    ----------
    name, value
        What was decided.
    origin
        ``names`` (the state dict's names and shapes), ``config``, ``option`` or ``assumed``.
    note
        For an assumption: why this value, and the option that changes it.
    """

    name: str
    value: str
    origin: Origin
    note: str = ""


class Settings:
    """Resolves settings one by one and remembers them.

    Parameters
    ----------
    options
        What the user says.
    layer
        The layer's part of the configuration.
    """

    def __init__(self, options: ImportOptions, layer: Mapping[str, Any]) -> None:
        self.options = options
        self.layer = dict(layer)
        self.record: list[Setting] = []
        self.questions: dict[str, str] = {}

    def add(self, name: str, value: object, origin: Origin, note: str = "") -> None:
        """Remember a setting that is decided."""
        self.record.append(Setting(name, str(value), origin, note))

    def ask(self, name: str, question: str) -> None:
        """Remember that only the user can tell a setting; all are asked for at once."""
        self.questions[name] = question

    def require_answers(self) -> None:
        """Check that nothing is left to ask.

        Raises
        ------
        InputError
            With every option that is needed, and what suggests which value.
        """
        if self.questions:
            raise InputError(
                f"nothing in the file tells {', '.join(self.questions)}: give "
                + "; ".join(self.questions.values())
            )

    def choose(
        self,
        name: str,
        given: str | None,
        keys: Sequence[str],
        usual: str,
        allowed: Sequence[str],
    ) -> str:
        """Decide a setting of the layer.

        Parameters
        ----------
        name
            Its name; with dashes, also that of the option.
        given
            The option's value.
        keys
            Its names in the configuration of a layer.
        usual
            The default of the code that wrote the file.
        allowed
            What can be imported.

        Raises
        ------
        InputError, UnsupportedError
            If the option's value, or the configuration's, is not allowed.
        """
        option = f"--{name.replace('_', '-')}"
        choices = ", ".join(allowed)
        found = next((key for key in keys if self.layer.get(key) is not None), None)
        if given is not None:
            if given not in allowed:
                raise InputError(f"{option} {given}: possible here: {choices}")
            value, origin, note = given, "option", ""
        elif found is not None:
            value, origin, note = str(self.layer[found]), "config", ""
            if value not in allowed:
                raise UnsupportedError(f"model.layer.{found}: {value}; possible here: {choices}")
        else:
            note = f"the default of its code; {option} changes it" if len(allowed) > 1 else ""
            value, origin = usual, "assumed" if note else "names"
        self.add(name, value, origin, note)  # type: ignore[arg-type]
        return value
