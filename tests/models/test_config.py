from __future__ import annotations

from typing import Any

import pytest

from neurossm.errors import FormatError, InputError
from neurossm.models import InputSpec, ModelConfig


def config(**values: Any) -> ModelConfig:
    return ModelConfig(**({"layer": "gsu", "input": InputSpec.uint8(), "classes": 2} | values))


def test_plain_form_and_back() -> None:
    original = config(input=InputSpec.real(3, -1, 2), n_ssm=64, norm="layer", threshold="dynamic")
    plain = original.to_dict()
    assert plain["input"] == {"kind": "float", "size": 3, "low": -1.0, "high": 2.0}
    assert ModelConfig.from_dict(plain) == original


def test_modes_are_half_of_d_state() -> None:
    assert config(d_state=64).modes == 32
    assert config(d_model=8).independent_ssms == 8
    assert config(d_model=8, n_ssm=2).independent_ssms == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layer": "lstm"}, "model: layer is 'lstm'; known are binary-s4d, gsu"),
        ({"d_state": 5}, "d_state: 5 is odd"),
        ({"d_state": 0}, "d_state: 0 must be an integer of at least 2"),
        ({"n_layers": 0}, "n_layers: 0 must"),
        ({"d_model": 2.5}, "d_model: 2.5 must be an integer"),
        ({"n_ssm": 3}, "n_ssm: 3 does not divide d_model 128"),
        ({"dt_min": 0.0}, "dt_min 0.0 and dt_max 0.1"),
        ({"dropout": 1.0}, r"dropout: 1.0 is outside \[0, 1\)"),
        ({"threshold_factor": -0.1}, "threshold_factor"),
    ],
)
def test_values_out_of_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        config(**values)


def test_input_ranges() -> None:
    assert InputSpec.tokens(9) == InputSpec("tokens", 9, 0.0, 8.0)
    with pytest.raises(InputError, match=r"low 1\.0 must be below high 1\.0"):
        InputSpec.real(1, 1, 1)
    with pytest.raises(InputError, match="leave low and high out"):
        InputSpec("uint8", 1, 0.0, 1.0)
    with pytest.raises(InputError, match=r"input\.size: 0"):
        InputSpec.uint8(0)


def test_foreign_fields() -> None:
    plain = config().to_dict()
    with pytest.raises(FormatError, match="configuration: unknown field colour"):
        ModelConfig.from_dict(plain | {"colour": 1})
    with pytest.raises(FormatError, match=r"configuration.input: expected named fields"):
        ModelConfig.from_dict(plain | {"input": 3})
    del plain["classes"]
    with pytest.raises(FormatError, match="classes"):
        ModelConfig.from_dict(plain)
