"""Sums over powers of poles and over impulse responses: upper bounds, as tight as they were."""

from __future__ import annotations

import numpy as np
import pytest

from neurossm.program.pole_series import pole_series
from neurossm.program.response import STEPS, response_sums

PARTS = ("re_positive", "re_negative", "im_positive", "im_negative")
SHIFT = 16


@pytest.fixture(scope="module")
def poles():
    rng = np.random.default_rng(0)
    radius = 1 - 10.0 ** -rng.uniform(0.1, 3.5, 40)
    angle = np.concatenate([rng.uniform(-np.pi, np.pi, 30), np.zeros(5), np.full(5, np.pi)])
    q = radius * np.exp(1j * angle) * 2**SHIFT
    return np.trunc(q.real).astype(int)[None], np.trunc(q.imag).astype(int)[None]


def extended(poles, steps):
    """Return powers 0 to steps - 1 of one pole in extended precision, real and imaginary part."""
    re, im = (part.astype(np.longdouble) / 2**SHIFT for part in poles)
    power = np.ones_like(re), np.zeros_like(re)
    for _ in range(steps):
        yield power
        power = power[0] * re - power[1] * im, power[0] * im + power[1] * re


def first_version(re, im):
    """Sum one pole's series as files of the first versions did: one term after the other."""
    radius = np.hypot(re, im)
    whole, power, rest, terms = 1 / (1 - radius), 1.0, 1 / (1 - radius), 0
    sums, now = [0.0] * 4, (1.0, 0.0)
    while rest > 1e-3 * (sums[0] + sums[1]):
        for _ in range(16):
            for k, value in enumerate((now[0], -now[0], now[1], -now[1])):
                sums[k] += max(value, 0.0)
            now = now[0] * re - now[1] * im, now[0] * im + now[1] * re
            power *= radius
        terms += 16
        rest = power * whole
    rest += 1e-15 * (terms + 16) * whole
    return [part + rest for part in sums]


def test_series_are_upper_bounds_and_near(poles):
    sums = np.zeros((4, 40), np.longdouble)
    for re, im in extended(poles, 60_000):  # |q|^60000 below 1e-8
        for k, value in enumerate((re, -re, im, -im)):
            sums[k] += np.maximum(value[0], 0)
    found = pole_series(*poles, SHIFT)
    total = sums.sum(axis=0)
    for part, exact in zip(PARTS, sums, strict=True):
        bound = getattr(found, part)[0]
        assert (bound >= exact).all(), part
        assert (bound - exact <= 2e-3 * total + 1e-6).all(), part


def test_no_bound_is_above_that_of_a_file_written_before(poles):
    found = pole_series(*poles, SHIFT)
    for h in range(40):
        before = first_version(poles[0][0, h] / 2**SHIFT, poles[1][0, h] / 2**SHIFT)
        for part, old in zip(PARTS, before, strict=True):
            assert old * (1 - 1e-5) <= getattr(found, part)[0, h] <= old, (part, h)


def test_responses_are_upper_bounds_and_near(poles):
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(1, 40)) + 1j * rng.normal(size=(1, 40))
    sums = np.zeros(2, np.longdouble)
    for t, (re, im) in enumerate(extended(poles, STEPS)):
        response = (weight.real * re - weight.imag * im).sum() + (0.5 if t == 0 else 0.0)
        sums += np.maximum([response, -response], 0)
    pole = (poles[0] + 1j * poles[1]) / 2**SHIFT
    positive, negative = response_sums(pole, weight, np.array([0.5]))
    for bound, exact in ((positive[0], sums[0]), (negative[0], sums[1])):
        assert exact <= bound <= exact + 5e-3 * sums.sum()  # the rest, mode by mode
