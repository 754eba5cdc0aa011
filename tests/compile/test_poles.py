"""Poles on the integer grid, and the C refitted to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurossm.compile.poles import quantise_poles, refit_residues, response_distance
from neurossm.grid_points import FINEST
from neurossm.program import SSM, unchecked

radii = st.floats(0, 0.9999) | st.floats(0.5, 7).map(lambda e: 1 - 10.0**-e)
angles = st.floats(-np.pi, np.pi) | st.sampled_from([0.0, np.pi, np.pi / 2])


def quantised(p, bits=16, margin=16):
    a_re, a_im, shift = quantise_poles(np.array([[p]]), bits, margin, "ssm")
    return int(a_re[0, 0]), int(a_im[0, 0]), int(shift[0, 0])


@given(radii, angles, st.integers(6, 24), st.integers(4, 24))
@settings(max_examples=300)
def test_every_pole_keeps_the_margin_and_its_width(radius, angle, bits, margin):
    a_re, a_im, shift = quantised(radius * np.exp(1j * angle), bits, margin)
    # 1 - |q| >= 2^-margin, in integers: |q|^2 <= (1 - 2^-margin)^2, both sides times 2^(2 margin)
    assert (a_re**2 + a_im**2) << (2 * margin) <= ((1 << margin) - 1) ** 2 << (2 * shift)
    assert bits - 1 <= shift <= max(FINEST, bits - 1)
    near_one = (1 << shift) - a_re
    assert min(abs(a_re), abs(near_one)) < 1 << (bits - 1)
    assert abs(a_im) < 1 << (bits - 1)


@given(radii, angles, st.integers(6, 20))
@settings(max_examples=200)
def test_the_pole_is_near(radius, angle, bits):
    p = radius * np.exp(1j * angle)
    a_re, a_im, shift = quantised(p, bits, 24)
    q = complex(a_re, a_im) / 2**shift
    inside = p * min(1, (1 - 2.0**-24) / max(abs(p), 1e-300))
    assert abs(q.real - inside.real) <= 2 * 2.0**-shift
    assert abs(q.imag - inside.imag) <= 2 * 2.0**-shift


@given(st.integers(-200, 200), st.integers(-200, 200))
def test_a_pole_on_the_grid_stays(re, im):
    if re**2 + im**2 > 252**2:  # (1 - 2^-6) 256
        re, im = re // 2, im // 2
    a_re, a_im, shift = quantised(complex(re, im) / 256, 9, 6)
    assert complex(a_re, a_im) / 2**shift == complex(re, im) / 256


def explicit_distance(q, p, steps=4000):
    t = np.arange(steps)
    return (np.abs(q**t - p**t) ** 2).sum()


@given(st.floats(0, 0.99), angles)
@settings(max_examples=40)
def test_the_best_of_the_neighbours_is_taken(radius, angle):
    p = radius * np.exp(1j * angle)
    a_re, a_im, shift = quantised(p, 8, 16)
    scale = 2**shift
    taken = explicit_distance(complex(a_re, a_im) / scale, p)
    for i in range(-1, 3):
        for j in range(-1, 3):
            q = complex(np.floor(p.real * scale) + i, np.floor(p.imag * scale) + j) / scale
            if abs(q) <= 1 - 2.0**-16:
                assert taken <= explicit_distance(q, p) * (1 + 1e-9) + 1e-12


@given(st.floats(0, 0.98), angles, st.floats(0, 0.98), angles)
@settings(max_examples=50)
def test_response_distance_is_the_sum(r1, a1, r2, a2):
    q, p = r1 * np.exp(1j * a1), r2 * np.exp(1j * a2)
    assert response_distance(np.array(q), np.array(p)) == pytest.approx(
        explicit_distance(q, p, 2000), rel=1e-6, abs=1e-9
    )


def test_slow_modes_get_finer_grids():
    # 1 - p = 0.001 (1 - i): with 8 bits, steps of 2^-16 tell it from 1, steps of 2^-7 do not
    a_re, a_im, shift = quantised(1 - 0.001 + 0.001j, 8)
    assert shift == 16
    assert complex(a_re, a_im) / 2**16 == pytest.approx(0.999 + 0.001j, abs=2**-16)
    assert quantised(-0.9 + 0j, 8)[2] == 7  # far from 1: the plain grid


def test_poles_fit_the_integer_operation(networks):
    rng = np.random.default_rng(0)
    for kind in networks.POLES:
        p, _ = networks.poles(rng, kind, 4, 32)
        a_re, a_im, shift = quantise_poles(p, 16, 16, "ssm")
        zeros, channels = np.zeros_like(a_re), np.zeros(4, int)
        fields = (a_re, a_im, shift, zeros, zeros, zeros, channels, channels, channels, 24)
        op = SSM("s", ("u",), unchecked(32, 0, 4), *fields)
        assert max(np.abs(part).max() for part in op.stored_poles()) < 1 << 15


def misfit(C, p, refitted, q, steps=3000):
    t = np.arange(steps)[:, None]
    return (((refitted * q**t).sum(axis=1) - (C * p**t).sum(axis=1)).real ** 2).sum()


@pytest.mark.parametrize("seed", range(6))
def test_refitted_residues_are_the_least_squares_solution(seed):
    rng = np.random.default_rng(seed)
    modes = int(rng.integers(1, 5))
    angle = (np.arange(modes) + rng.uniform(0.3, 0.7, modes)) * np.pi / modes  # well apart
    p = rng.uniform(0.5, 0.98, modes) * np.exp(1j * angle)
    q = p + 2.0**-7 * (rng.normal(size=modes) + 1j * rng.normal(size=modes))
    q *= np.minimum(1, 0.985 / np.abs(q))
    C = rng.normal(size=modes) + 1j * rng.normal(size=modes)
    refitted = refit_residues(C[None], p[None], q[None])[0]
    # An independent solution: real and imaginary parts as unknowns of a tall linear system.
    t = np.arange(3000)[:, None]
    powers = q**t
    matrix = np.concatenate([powers.real, -powers.imag], axis=1)
    wanted = (C * p**t).sum(axis=1).real
    solution = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
    best = solution[:modes] + 1j * solution[modes:]
    least = misfit(C, p, best, q)
    assert misfit(C, p, refitted, q) <= least * (1 + 1e-3) + 1e-9
    assert misfit(C, p, refitted, q) < misfit(C, p, C, q)  # it does help
    np.testing.assert_allclose(refitted, best, rtol=1e-2, atol=1e-3 * np.abs(C).max())


def test_refitting_to_the_same_poles_changes_nothing():
    rng = np.random.default_rng(1)
    p = 0.9 * np.exp(1j * np.array([[0.3, 1.0, 2.0]]))
    C = rng.normal(size=(1, 3)) + 1j * rng.normal(size=(1, 3))
    np.testing.assert_allclose(refit_residues(C, p, p), C, rtol=1e-4)


@pytest.mark.parametrize(
    "poles",
    [
        [0.9, 0.9],  # two equal real poles
        [0.9 + 0.1j, 0.9 + 0.1j],  # two equal complex ones
        [0.9 + 1e-9j, 0.9 - 1e-9j],
        [0.0, 0.5],
        [1 - 2.0**-10, 0.3j],
    ],
)
def test_degenerate_poles_give_moderate_residues_and_a_good_fit(poles):
    q = np.array([poles], complex)
    p = q * (1 - 1e-5)
    C = np.array([[1 + 2j, -3 + 0.5j]])
    refitted = refit_residues(C, p, q)
    assert np.isfinite(refitted).all()
    assert np.abs(refitted).max() < 20
    energy = ((C[0] * p[0] ** np.arange(3000)[:, None]).sum(axis=1).real ** 2).sum()
    assert misfit(C[0], p[0], refitted[0], q[0]) < 0.01 * energy
