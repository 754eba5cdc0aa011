"""How to train: plain frozen data, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from neurossm.errors import InputError
from neurossm.train.augment import Augmentation

Schedule = Literal["one-cycle", "cosine", "constant"]
Keep = Literal["best", "last"]
Matmul = Literal["float32", "tf32"]

_WARMUP: dict[str, float] = {"one-cycle": 0.3, "cosine": 0.05, "constant": 0.0}


@dataclass(frozen=True)
class TrainConfig:
    """How to train. For every number that is 0 by default, 0 means: without.

    Attributes
    ----------
    epochs
        Passes over the training samples; an incomplete last batch is left out.
    batch_size
        Samples per step of the optimizer, over all processes.
    accumulate
        Parts that a batch is worked through in, one after the other, to save memory; each part has
        its own statistics in BatchNorm.
    bucket
        Steps: samples of like lengths come together, and a batch is cut to the least multiple of
        these steps that holds it. Saves the time that filled-up steps take.
    lr
        Peak learning rate.
    ssm_lr
        That of the SSMs' poles, step sizes and input weights, which get no weight decay.
    weight_decay
        Of matrices; biases, norms and D get none.
    schedule
        ``one-cycle``: cosine up from 4 %, cosine down; ``cosine``: linear up, cosine down;
        ``constant``: linear up, then flat.
    warmup
        Share of the training that the learning rate rises in. Default: 0.3 for ``one-cycle``, 0.05
        for ``cosine``, 0 for ``constant``.
    clip
        Largest norm of the gradient.
    label_smoothing
        Share of the target that is spread over all classes.
    ema
        Decay per step of the average of the weights, which is evaluated and kept in the place of
        the weights themselves; 0.999 averages about the last 1,000 steps.
    validation
        Share of the training samples that is kept out of training, to choose the epoch by. Default:
        the task's own choice.
    keep
        ``best``: the epoch of the highest validation accuracy, the later of equals; ``last``: the
        last one.
    patience
        Epochs without a better validation accuracy after which training stops.
    matmul
        ``tf32``: matrix products on a GPU may round their factors to 10 bits in training; never in
        evaluation. ``float32``: they do not.
    rate
        Share of spikes that each layer shall have at most: what is above it is penalised.
    rate_weight
        Of that penalty, the mean over layers of the excess; 0 with ``--rate``: 1.
    seed
        Of weights, order of samples, dropout and augmentation.
    save_minutes
        Minutes after which the state to resume from is saved within an epoch; it is after each one.
    augmentation
        Random changes of the training samples; None: none.
    """

    epochs: int
    batch_size: int = 128
    accumulate: int = 1
    bucket: int = 0
    lr: float = 0.01
    ssm_lr: float = 0.001
    weight_decay: float = 0.01
    schedule: Schedule = "one-cycle"
    warmup: float | None = None
    clip: float = 0.0
    label_smoothing: float = 0.0
    ema: float = 0.0
    validation: float | None = None
    keep: Keep = "last"
    patience: int = 0
    matmul: Matmul = "tf32"
    rate: float | None = None
    rate_weight: float = 0.0
    seed: int = 0
    save_minutes: float = 5.0
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        if self.schedule in _WARMUP and self.warmup is None:
            object.__setattr__(self, "warmup", _WARMUP[self.schedule])
        for name, choices in (("schedule", Schedule), ("keep", Keep), ("matmul", Matmul)):
            value = getattr(self, name)
            if value not in get_args(choices):
                raise InputError(
                    f"{name}: {value!r} is unknown; known are {', '.join(get_args(choices))}"
                )
        for name in ("epochs", "batch_size", "accumulate"):
            self._check(name, getattr(self, name) >= 1, "must be at least 1")
        for name in ("lr", "save_minutes"):
            self._check(name, getattr(self, name) > 0, "must be above 0")
        for name in (
            "bucket", "ssm_lr", "weight_decay", "clip", "patience", "rate_weight", "seed",
        ):  # fmt: skip
            self._check(name, getattr(self, name) >= 0, "must not be negative")
        if self.rate is None:
            self._check("rate_weight", self.rate_weight == 0, "needs --rate, the share to come to")
        elif self.rate_weight == 0:
            object.__setattr__(self, "rate_weight", 1.0)
        for name in ("warmup", "label_smoothing", "ema", "validation", "rate"):
            value = getattr(self, name)
            self._check(name, value is None or 0 <= value < 1, "must be at least 0 and below 1")
        self._check(
            "batch_size", self.batch_size % self.accumulate == 0, "is no multiple of accumulate"
        )

    def _check(self, name: str, good: bool, rule: str) -> None:
        if not good:  # a comparison with NaN is false, too
            raise InputError(f"{name}: {getattr(self, name)} {rule}")
