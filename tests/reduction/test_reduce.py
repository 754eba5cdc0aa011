"""Fewer modes: errors by direct sums, budgets, dead channels, and the ragged program."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import neurossm
from neurossm.compile import compile_model
from neurossm.datafile import Data
from neurossm.errors import InputError
from neurossm.models.checkpoint import Checkpoint
from neurossm.models.config import InputSpec, ModelConfig
from neurossm.models.network import Network
from neurossm.models.response import response_of
from neurossm.models.ssm import S4D
from neurossm.place.bytes import signed_bits
from neurossm.place.groups import neuron_groups
from neurossm.reduction import ReduceOptions, reduce
from neurossm.reduction.elimination import eliminate

LENGTH = 48


def network(seed=0, **changes):
    torch.manual_seed(seed)
    settings = {"n_layers": 2, "d_model": 8, "d_state": 16, "dt_min": 0.02, "dt_max": 0.3}
    config = ModelConfig("binary-s4d", InputSpec.real(2, -1, 1), 3, **settings | changes)
    return Network(config).eval()


def samples(count=12):
    return np.random.default_rng(0).uniform(-1, 1, (count, LENGTH, 2)).astype(np.float32)


def kernel_by_steps(ssm: S4D, length: int) -> np.ndarray:
    """The impulse response by the recurrence itself, one step after the other."""
    a_bar, b_bar = (part.detach().numpy() for part in ssm.discretise())
    c, d = ssm.readout().detach().numpy(), ssm.D.detach().double().numpy()
    state, found = np.zeros_like(a_bar), []
    for t in range(length):
        u = 1.0 if t == 0 else 0.0
        state = a_bar * state + b_bar * u
        found.append(2 * (c * state).sum(axis=1).real + d * u)
    return np.stack(found, axis=1)


@pytest.mark.parametrize("changes", [{}, {"n_ssm": 1}, {"discretization": "bilinear"}])
def test_all_modes_are_the_same_response(changes):
    model = network(**changes)
    found = reduce(Checkpoint(model), ReduceOptions(modes=8, polish_steps=0), length=LENGTH)
    for before, after in zip(model.blocks, found.checkpoint.model.blocks, strict=True):
        exact = kernel_by_steps(before.mixer.ssm, LENGTH)
        made = kernel_by_steps(after.mixer.ssm, LENGTH)
        assert np.abs(made - exact).max() < 1e-4 * np.abs(exact).max()


@pytest.mark.parametrize("steps", [0, 20])
def test_stated_errors_are_those_of_direct_sums(steps):
    model = network()
    found = reduce(Checkpoint(model), ReduceOptions(modes=3, polish_steps=steps), length=LENGTH)
    assert found.modes == (2 * 8 * 8, 2 * 8 * 3)
    for i, layer in enumerate(found.layers):
        exact = kernel_by_steps(model.blocks[i].mixer.ssm, LENGTH)
        made = kernel_by_steps(found.checkpoint.model.blocks[i].mixer.ssm, LENGTH)
        by_hand = np.linalg.norm(made - exact, axis=1) / np.linalg.norm(exact, axis=1)
        np.testing.assert_allclose(layer.error, by_hand, rtol=1e-6)
        assert layer.counts.min() < layer.counts.max()  # modes go where they matter


def test_poles_that_may_move_fit_better():
    errors = [
        np.concatenate([layer.error for layer in found.layers])
        for steps in (0, 40)
        for found in [
            reduce(Checkpoint(network()), ReduceOptions(modes=2, polish_steps=steps), length=LENGTH)
        ]
    ]
    assert (errors[1] <= errors[0] * (1 + 1e-5)).all()
    assert errors[1].mean() < 0.95 * errors[0].mean()


def test_a_response_of_two_modes_needs_two():
    """Modes of weight 0 go first, and nothing is lost with them."""
    model = network()
    for block in model.blocks:
        with torch.no_grad():
            block.mixer.ssm.C[:, 2:] = 0
    found = reduce(Checkpoint(model), ReduceOptions(max_error=1e-4, polish_steps=0), length=LENGTH)
    for layer in found.layers:
        assert layer.counts.max() <= 2
        assert layer.error.max() < 1e-3


def test_modes_serve_what_the_input_holds():
    """Of a sinusoid a mode gives any amplitude and phase: one is as good as all."""
    exact = response_of(network().blocks[0].mixer.ssm)
    one, every = (np.zeros((8, LENGTH // 2 + 1)) for _ in range(2))
    one[:, 3], every[:] = LENGTH / 2, 1
    assert eliminate(exact, one, LENGTH).error[:, -2].max() < 1e-6
    assert eliminate(exact, every, LENGTH).error[:, -2].min() > 0.01


def test_programs_leave_absent_modes_out(tmp_path):
    data = samples()
    checkpoint = Checkpoint(network(), calibration=data)
    found = reduce(checkpoint, ReduceOptions(modes=3, polish_steps=5))
    program = compile_model(found.checkpoint)
    for i, layer in enumerate(found.layers):
        op = program[f"blocks.{i}.ssm"]
        np.testing.assert_array_equal(op.mode_counts, layer.counts)
        assert op.modes == max(int(each.counts.max()) for each in found.layers)
    states = [f"blocks.{i}.ssm:state_{part}" for i in range(2) for part in ("re", "im")]
    runs = [program.run(data, engine, record=states) for engine in ("reference", "fast", "c")]
    for run in runs:
        np.testing.assert_array_equal(run.logits, runs[0].logits)
        for name in states:
            np.testing.assert_array_equal(run.tensors[name], runs[0].tensors[name])
    for i, layer in enumerate(found.layers):
        beyond = np.arange(program[f"blocks.{i}.ssm"].modes) >= layer.counts[:, None]
        assert (runs[0].tensors[f"blocks.{i}.ssm:state_re"][..., beyond] == 0).all()
    program.save(tmp_path / "ragged.h5")
    again = neurossm.Program.load(tmp_path / "ragged.h5")
    assert again.sha256 == program.sha256


def test_counts_leave_absent_modes_out():
    """A mode takes 6 products and, with the readout's sum, 6 sums; D one product and one sum."""
    data = samples(4)
    found = reduce(Checkpoint(network(), calibration=data), ReduceOptions(modes=3, polish_steps=0))
    counts = neurossm.profile(compile_model(found.checkpoint), data).totals
    steps = 4 * LENGTH
    assert counts.state_updates == found.modes[1] * steps
    assert counts.state_multiplies == (6 * found.modes[1] + 2 * 8) * steps


def test_dead_channels_lose_their_modes_and_nothing_changes():
    model, data = network(), samples()
    with torch.no_grad():
        model.blocks[0].mixer.dense.weight[:, 1] = 0  # unread
        model.blocks[0].mixer.ssm.C[2], model.blocks[0].mixer.ssm.D[2] = 0, 0  # y = 0: never
    found = reduce(Checkpoint(model, calibration=data), ReduceOptions(modes=8, polish_steps=0))
    layer = found.layers[0]
    assert (1 in layer.unread, 2 in layer.silent) == (True, True)
    assert layer.counts[[1, 2]].tolist() == [0, 0]
    x = torch.from_numpy(data)
    with torch.no_grad():
        before, after = model(x), found.checkpoint.model(x)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)


def test_training_leaves_absent_modes_absent():
    found = reduce(Checkpoint(network()), ReduceOptions(modes=3, polish_steps=0), length=LENGTH)
    model = found.checkpoint.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(3):
        model(torch.from_numpy(samples())).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    for layer, block in zip(found.layers, model.blocks, strict=True):
        there = response_of(block.mixer.ssm).there
        np.testing.assert_array_equal(there.sum(axis=1), layer.counts)


def test_the_fewest_modes_within_a_drop():
    model, data = network(), samples(40)
    with torch.no_grad():
        labels = model(torch.from_numpy(data)).argmax(dim=1).numpy()
    labelled = Data(data, labels.astype(np.int64))
    found = reduce(Checkpoint(model), ReduceOptions(max_drop=0.1, polish_steps=0), labelled)
    before, after = found.accuracy
    assert before == 1.0
    assert after >= 0.9
    assert found.modes[1] < found.modes[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give one of --modes, --max-error, --max-drop; found none"),
        ({"modes": 4, "max_error": 0.1}, "found --modes and --max-error"),
        ({"modes": -1}, "modes: -1 must be a number of at least 0"),
        ({"max_error": 2}, "max_error: 2, must be a fraction from 0 to 1"),
        ({"max_error": 0.1, "uniform": True}, "uniform: needs --modes"),
        ({"modes": 2.5, "uniform": True}, "must be an integer where all keep as many"),
        ({"modes": 2, "polish_steps": -1}, "polish_steps: -1, must be an integer of at least 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        ReduceOptions(**settings)


@pytest.mark.parametrize("uniform", [False, True])
def test_more_modes_than_there_are_is_refused(uniform):
    model = Checkpoint(network(), calibration=samples(4))
    most = model.model.config.modes
    with pytest.raises(InputError, match=f"modes: {most + 1}, the model has {most} per channel"):
        reduce(model, ReduceOptions(modes=most + 1, uniform=uniform, polish_steps=0))


def test_a_drop_needs_labels():
    with pytest.raises(InputError, match="max_drop: needs --data"):
        reduce(Checkpoint(network()), ReduceOptions(max_drop=0.1))
    with pytest.raises(InputError, match="holds no labels y"):
        reduce(Checkpoint(network()), ReduceOptions(max_drop=0.1), Data(samples()))


def test_bytes_leave_absent_modes_out():
    """Both layers as they are, less the bytes of a mode for each that is absent."""
    found = reduce(
        Checkpoint(network(), calibration=samples(4)), ReduceOptions(modes=3, polish_steps=0)
    )
    program = compile_model(found.checkpoint)
    groups = [group for group in neuron_groups(program, 32) if group.modes]
    assert len(groups) == len(found.layers)
    for group, layer in zip(groups, found.layers, strict=True):
        op = program[f"{layer.name}.ssm"]
        # a_re, a_im, c_re, c_im of 16 bits, two shifts of 8; two states of 24 bits
        assert group.absent_modes == group.modes - layer.counts.sum() / 8
        assert group.absent_state_bytes == 6 * group.absent_modes
        assert group.total_bytes < 8 * group.bytes_per_neuron
        spare = 8 * group.bytes_per_neuron + group.shared_bytes - group.total_bytes
        fields = (op.stored_poles()[0], op.a_im, op.pole_shift, op.input_shift, op.c_re, op.c_im)
        per_mode = sum(-(-signed_bits(field) // 8) for field in fields) + 6
        assert spare == round(8 * group.absent_modes * per_mode)
