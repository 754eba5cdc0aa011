"""Piecewise-linear tables: their stated errors, their slopes, and their integer form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurossm import graph as g
from neurossm.compile.approximate import GELU_FUNCTION, SIGMOID, approximate, tabulate
from neurossm.compile.options import CompileOptions
from neurossm.compile.scaling import to_mantissa
from neurossm.program import Table, Tally, unchecked

FUNCTIONS = {"sigmoid": SIGMOID, "gelu": GELU_FUNCTION}


def exact(name: str, x: np.ndarray) -> np.ndarray:
    """Evaluate with the standard library, by other formulas than the package's."""
    if name == "sigmoid":
        return np.array(
            [math.exp(v) / (1 + math.exp(v)) if v < 0 else 1 / (1 + math.exp(-v)) for v in x]
        )
    return np.array([v * math.erfc(-v / math.sqrt(2)) / 2 for v in x])


def table(name, digits=3, step=2):
    options = CompileOptions(slope_digits=digits, table_step_log2=step)
    return tabulate("t", ("x",), FUNCTIONS[name], options)


@pytest.mark.parametrize("step", [-1, 0, 2, 4, 6])
@pytest.mark.parametrize("digits", [1, 2, 3, 8])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_stated_error_is_true_and_reached(name, digits, step):
    node = table(name, digits, step)
    # dense, all knots, just left of them, and far out
    x = np.linspace(-12, 12, 30_001)
    knots = node.start + np.arange(node.base.size + 1) * 2.0**-step
    x = np.concatenate([x, knots, np.nextafter(knots, -99), [-700.0, -60.0, -30.0, 30.0, 700.0]])
    error = np.abs(node.apply(x) - exact(name, x)).max()
    assert error <= node.max_error * (1 + 1e-9)
    assert error >= 0.97 * node.max_error


@pytest.mark.parametrize(("name", "error"), [("sigmoid", 4e-4), ("gelu", 1.5e-3)])
def test_the_tables_are_good(name, error):
    assert table(name, step=3).max_error < error


def nonzero_digits(value: int) -> int:
    """Count the nonzero signed digits of the non-adjacent form, digit by digit."""
    value, count = abs(value), 0
    while value:
        if value % 2:
            count += 1
            value -= 2 - value % 4  # -1 or 1, so that the next digit is 0
        value //= 2
    return count


@pytest.mark.parametrize("digits", [1, 2, 3, 5])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_slopes_have_few_digits(name, digits):
    slope = table(name, digits).slope * 2.0**10
    assert np.array_equal(slope, np.round(slope))
    assert max(nonzero_digits(int(m)) for m in slope) <= digits


def test_more_digits_and_finer_steps_do_not_hurt():
    for name in FUNCTIONS:
        by_digits = [table(name, digits).max_error for digits in (1, 2, 3, 8)]
        by_step = [table(name, 8, step).max_error for step in (0, 1, 2, 3)]
        assert by_digits == sorted(by_digits, reverse=True)
        assert by_step == sorted(by_step, reverse=True)


@pytest.mark.parametrize(("x_exponent", "y_exponent"), [(10, 14), (4, 20), (12, 6), (2, 15)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_integer_table_is_the_line_to_within_its_rounding(name, x_exponent, y_exponent):
    node = table(name)
    op = Table(
        "t",
        ("x",),
        unchecked(40, y_exponent, 1),
        int(node.start * 2**x_exponent),
        x_exponent - node.width_log2,
        to_mantissa(node.base, y_exponent),
        to_mantissa(node.slope, 10),
        10 + x_exponent - y_exponent,
    )
    x = np.arange(-20 << x_exponent, 20 << x_exponent, max(1, 2**x_exponent // 256))
    _, y = op.step({}, x[:, None], tally=Tally())
    wanted = node.apply(x * 2.0**-x_exponent)
    # half a unit for the base, half for the product
    assert np.abs(y[:, 0] * 2.0**-y_exponent - wanted).max() <= 2.0**-y_exponent


def test_functions_are_replaced_and_named(networks):
    graph = networks.random_graph(0, mixer="gsu")
    replaced, approximations = approximate(graph, CompileOptions())
    assert [item.name for item in approximations] == ["gelu"]
    assert not any(isinstance(node, g.GELUNode) for node in replaced.nodes)
    node = replaced["blocks.1.gelu"]
    assert isinstance(node, g.PiecewiseLinearNode)
    assert node.inputs == ("blocks.1.layernorm",)
    assert approximations[0].max_error == node.max_error
    assert f"{node.base.size} line segments" in approximations[0].description
    binary, approximations = approximate(networks.random_graph(0), CompileOptions())
    assert [item.name for item in approximations] == ["sigmoid"]
    assert isinstance(binary["blocks.0.sigmoid"], g.PiecewiseLinearNode)


def test_nothing_to_replace():
    source = g.InputNode("input", (), "float", 1, -1.0, 1.0, 1.0)
    graph = g.Graph((source, g.MeanNode("mean", ("input",))))
    replaced, approximations = approximate(graph, CompileOptions())
    assert graph.same_as(replaced)
    assert approximations == ()
