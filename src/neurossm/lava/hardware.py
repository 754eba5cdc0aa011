"""Process models that other packages bring, for hardware that Lava drives.

A package enters a `HardwareModels` in the entry-point group `neurossm.lava.models`; docs/lava.md
has the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from neurossm.errors import InputError, UnsupportedError
from neurossm.hw_profiles import profile_of

if TYPE_CHECKING:
    from neurossm.program import Program

ENTRY_POINTS = "neurossm.lava.models"


@dataclass(frozen=True)
class HardwareModels:
    """How the processes of a network run on a target.

    Parameters
    ----------
    target
        Name of the hardware profile, such as "loihi2".
    run_config
        Returns Lava's run configuration, such as `Loihi2HwCfg(select_tag="fixed_pt")`.
    model_of
        Returns the class of the process model for a process: a `Neuron` with its `unit`, a
        `ReadoutProcess`, a `Gate`, a `Player`, Lava's `Dense`. None leaves the choice to the run
        configuration.
    records
        Whether its models write the tensors that a process's `trace` names.
    """

    target: str
    run_config: Callable[[], Any]
    model_of: Callable[[Any], type | None]
    records: bool = False


@lru_cache(maxsize=1)
def hardware_models() -> Mapping[str, HardwareModels]:
    """Return what other packages bring, by target.

    Raises
    ------
    InputError
        What one enters is no `HardwareModels`, or two are for one target.
    """
    found: dict[str, HardwareModels] = {}
    for point in entry_points(group=ENTRY_POINTS):
        models = point.load()
        if not isinstance(models, HardwareModels) or models.target in found:
            raise InputError(
                f"process models {point.name!r} of {point.value} cannot be registered: they are "
                "no neurossm.lava.HardwareModels, or their target has some already"
            )
        found[models.target] = models
    return found


def hardware_of(program: Program) -> HardwareModels | None:
    """Return the models for a program's target, None where Lava's simulation stands for it.

    Raises
    ------
    UnsupportedError
        It does not, and no package brings models for the target.
    """
    with suppress(InputError):  # of a target that is not known here, nothing is known
        profile = profile_of(program)
        if not profile.support.lava_simulator:
            models = hardware_models().get(profile.name)
            if models is not None:
                return models
            try:
                profile.check_simulated()
            except UnsupportedError as error:
                raise UnsupportedError(
                    f"{error} (no installed package has process models for it in {ENTRY_POINTS})"
                ) from None
    return None


def run_config(target: str | None = None, tag: str = "fixed_pt") -> Any:
    """Return Lava's run configuration for a target: by default its simulation of Loihi 2.

    Parameters
    ----------
    target
        One that a package brings models for.
    tag
        Which models the simulation takes, "fixed_pt" or "floating_pt".

    Raises
    ------
    InputError
        No package has models for this target.
    MissingDependencyError
        Lava is not installed.
    """
    from neurossm.lava.availability import prepare_lava

    prepare_lava()
    if target is None:
        from lava.magma.core.run_configs import Loihi2SimCfg

        return Loihi2SimCfg(select_tag=tag)
    if target not in hardware_models():
        known = ", ".join(hardware_models()) or "none"
        raise InputError(f"target {target!r}: no package has models for it; known: {known}")
    models = hardware_models()[target]
    config = models.run_config()
    others = config.select

    def select(process: Any, candidates: list[type]) -> Any:
        return models.model_of(process) or others(process, candidates)

    config.select = select
    return config
