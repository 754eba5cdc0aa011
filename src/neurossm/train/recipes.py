"""Named recipes: which network to train, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from neurossm.errors import InputError
from neurossm.models.config import Activation, LayerKind, ModelConfig
from neurossm.train.augment import Augmentation
from neurossm.train.loop import TrainConfig
from neurossm.train.tasks import Task

MILD = Augmentation(shift_pixels=2.0, rotation_degrees=10.0, shear_degrees=6.0, scale=0.1)
SLIGHT = Augmentation(shift_pixels=1.5, rotation_degrees=7.0, shear_degrees=4.0, scale=0.07)


@dataclass(frozen=True)
class Recipe:
    """A network and its training.

    Attributes
    ----------
    model
        Builds the configuration for a task.
    training
        How to train.
    """

    model: Callable[[Task], ModelConfig]
    training: TrainConfig


def _full(layer: LayerKind, activation: Activation | None = None) -> Callable[[Task], ModelConfig]:
    return lambda task: ModelConfig(
        layer, task.input, task.classes, dropout=0.1, activation=activation
    )


def _small(layer: LayerKind, activation: Activation | None = None) -> Callable[[Task], ModelConfig]:
    return lambda task: ModelConfig(
        layer,
        task.input,
        task.classes,
        n_layers=3,
        d_model=64,
        d_state=32,
        n_ssm=1,
        prenorm=layer != "gsu",
        activation=activation,
    )


_FULL = TrainConfig(epochs=30, label_smoothing=0.05, augmentation=MILD)
_SMALL = TrainConfig(epochs=40, label_smoothing=0.02, augmentation=SLIGHT)

RECIPES = {
    ("binary-s4d", "full"): Recipe(_full("binary-s4d"), _FULL),
    ("gsu", "full"): Recipe(_full("gsu"), replace(_FULL, epochs=25)),
    ("binary-s4d", "small"): Recipe(_small("binary-s4d"), _SMALL),
    ("gsu", "small"): Recipe(_small("gsu"), _SMALL),
    ("s4d-gelu", "full"): Recipe(_full("s4d", "gelu"), _FULL),
    ("s4d-gelu", "small"): Recipe(_small("s4d", "gelu"), _SMALL),
    ("s4d-relu", "full"): Recipe(_full("s4d", "relu"), _FULL),
    ("s4d-relu", "small"): Recipe(_small("s4d", "relu"), _SMALL),
}


def recipe(model: str, size: str, epochs: int | None = None) -> Recipe:
    """Return a recipe by name, perhaps with another number of epochs.

    Raises
    ------
    InputError
        If there is no such recipe, or the number of epochs is not positive.
    """
    try:
        found = RECIPES[model, size]
    except KeyError:
        known = ", ".join(" ".join(key) for key in RECIPES)
        raise InputError(f"no recipe for model {model}, size {size}; known are {known}") from None
    if epochs is None:
        return found
    if epochs < 1:
        raise InputError(f"epochs: {epochs} must be at least 1")
    return replace(found, training=replace(found.training, epochs=epochs))
