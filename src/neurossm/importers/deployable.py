"""Which readings of a file our networks can compute, and why the others are refused."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from neurossm.errors import UnsupportedError
from neurossm.importers.choices import USUAL_EPS
from neurossm.importers.reading import Reading

_NORM_REASONS = {
    "group": "GroupNorm(1, d) takes its mean over all steps of a sample, also those to come",
    "instance": "InstanceNorm takes its mean over all steps of a sample, also those to come",
}


def check_deployable(reading: Reading) -> None:
    """Refuse what a reading needs and our networks have not.

    Raises
    ------
    UnsupportedError
        With the setting and the way out.
    """
    if reading.norm in _NORM_REASONS:
        raise UnsupportedError(
            f"norm {reading.norm}: {_NORM_REASONS[reading.norm]}, and cannot stream; train with "
            "BatchNorm or LayerNorm"
        )
    if reading.residual == "none":
        raise UnsupportedError(
            "residual none: blocks without the sum of input and output are not supported; train "
            "with the residual"
        )
    if reading.norm == "layer" and reading.norm_eps != USUAL_EPS:
        raise UnsupportedError(
            f"norm_eps {reading.norm_eps:g}: only {USUAL_EPS:g} is supported in a LayerNorm"
        )


def with_usual_eps(state: Mapping[str, Tensor], eps: float) -> dict[str, Tensor]:
    """Return weights in float64 whose BatchNorms add 1e-5 and compute what `eps` did.

    Raises
    ------
    UnsupportedError
        If a variance would become negative.
    """
    changed: dict[str, Tensor] = {}
    for name, value in state.items():
        changed[name] = value.double() if value.is_floating_point() else value
        if name.endswith("running_var"):
            changed[name] = changed[name] + (eps - USUAL_EPS)
            if bool((changed[name] < 0).any()):
                raise UnsupportedError(
                    f"norm_eps {eps:g}: a variance in {name} is below {USUAL_EPS - eps:g}"
                )
    return changed
