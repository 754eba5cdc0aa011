"""Training on the compiler's grids: what is saved is what the program holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurossm.compile import CompileOptions, Widths, compile_model
from neurossm.compile.poles import quantise_poles
from neurossm.compile.rounding import quantise_weights
from neurossm.datafile import Data
from neurossm.errors import InputError
from neurossm.graph.evaluate import evaluate
from neurossm.grid_points import nearest_poles
from neurossm.models.config import InputSpec, ModelConfig
from neurossm.models.export import export
from neurossm.models.grids import GateTable, on_grid, rows_on_grid
from neurossm.models.network import Network
from neurossm.train.config import TrainConfig
from neurossm.train.loop import Trainer
from neurossm.train.objective import RatePenalty
from neurossm.train.qat import Quantiser
from neurossm.train.tasks import Samples, Task

OPTIONS = CompileOptions(
    Widths(weight=4, pole=8, readout=8, state=16), scaling="calibrated", rounding="nearest"
)


def network(layer="binary-s4d", **changes):
    torch.manual_seed(0)
    sizes = {"n_layers": 2, "d_model": 8, "d_state": 8, "n_ssm": 1} | changes
    return Network(ModelConfig(layer, InputSpec.real(3, -1, 1), 3, **sizes))


def task():
    x = 2 * torch.rand(96, 24, 3, generator=torch.Generator().manual_seed(1)) - 1
    y = (20 * x[:, :, 0].mean(dim=1)).round().clamp(-1, 1).long() + 1
    parts = (Samples(x[part], y[part]) for part in (slice(64), slice(64, 80), slice(80, 96)))
    return Task("sums", InputSpec.real(3, -1, 1), 3, *parts)


def trained(layer, *, epochs=2, **settings):
    data = task()
    quantiser = Quantiser(OPTIONS, "loihi2-sim", Data(data.train.x.numpy()))
    model = quantiser.begin(network(layer))
    quantiser.refresh([model])
    config = TrainConfig(epochs=epochs, batch_size=32, **{"lr": 0.003, **settings})
    trainer = Trainer(model, data, config, quantiser=quantiser)
    trainer.run()
    return quantiser, model.eval(), trainer


@pytest.mark.parametrize(("layer", "spikes"), [("binary-s4d", "spike"), ("gsu", "ternary")])
def test_the_program_holds_what_was_trained(layer, spikes):
    quantiser, model, _ = trained(layer)
    made, data = quantiser.finished(model), task()
    calibration = Data(data.train.x.numpy())
    program = compile_model(made, options=OPTIONS, calibration=calibration)
    graph, x = export(made), data.test.x.numpy()
    for index, block in enumerate(made.blocks):
        op = program[f"blocks.{index}.ssm"]
        a_bar = block.mixer.ssm.discretise()[0].detach().numpy()
        poles = (op.a_re + 1j * op.a_im) * np.exp2(-op.pole_shift.astype(float))
        assert np.abs(poles - a_bar).max() < 1e-13
    names = [f"blocks.{index}.{spikes}" for index in range(2)]
    run, exact = program.run(x, "reference", record=names), evaluate(graph, x, names)
    after = program_agreement(run, exact, names)
    plain = network(layer).eval()
    rounded = compile_model(plain, options=OPTIONS, calibration=calibration)
    run, exact = rounded.run(x, "reference", record=names), evaluate(export(plain), x, names)
    assert after > 0.999
    assert after > program_agreement(run, exact, names) + 0.002


def program_agreement(run, exact, names):
    return np.mean([(run.tensors[name] == exact[name]).mean() for name in names])


def test_a_finished_network_computes_what_it_did_in_training():
    quantiser, model, _ = trained("binary-s4d")
    made, x = quantiser.finished(model), task().test.x
    for block in model.blocks:
        block.mixer.table = None  # the program's part, not the network's
    with torch.no_grad():
        torch.testing.assert_close(model(x).double(), made(x.double()), rtol=1e-3, atol=1e-3)


def test_poles_on_tensors_are_those_of_the_compiler():
    rng = np.random.default_rng(0)
    radius = np.concatenate([rng.uniform(0, 1, 200), 1 - 10.0 ** -rng.uniform(0.5, 5, 200)])
    exact = radius * np.exp(1j * rng.uniform(-np.pi, np.pi, 400))
    for bits in (6, 8, 16):
        by_compiler = quantise_poles(exact[None], bits, 16, "here")
        by_torch = nearest_poles(torch.from_numpy(exact), bits, 16, torch)[:3]
        for a, b in zip(by_compiler, by_torch, strict=True):
            np.testing.assert_array_equal(a[0], b.numpy())


def test_weights_on_grids_are_those_of_the_compiler():
    weight = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    integers, unit = quantise_weights(weight.numpy(), 4, "full")
    np.testing.assert_allclose(rows_on_grid(weight, 7).numpy(), integers * unit[:, None])


def test_gradients_pass_straight_through():
    """0.3, 0.5 and 9 by quarters up to 8 of them: 1, 2 and 8 quarters; each has slope 1."""
    x = torch.tensor([0.3, 0.5, 9.0], requires_grad=True)
    y = on_grid(x, torch.tensor(0.25), 8)
    assert y.tolist() == [0.25, 0.5, 2.0]
    (3 * y).sum().backward()
    assert x.grad.tolist() == [3, 3, 3]


def test_tables_have_endless_outer_segments():
    """Segments of width 1 from -1 on: y = 0 + 2 (x + 1), then y = 5 - (x - 0)."""
    table = GateTable(-1.0, 1.0, torch.tensor([0.0, 5.0]), torch.tensor([2.0, -1.0]))
    assert table(torch.tensor([-2.0, -0.5, 0.0, 3.0])).tolist() == [-2, 1, 5, 2]


def test_rates_above_the_target_cost_their_excess():
    """Two of four values spike in one layer, three of four in the other: 0.4 and 0.65 too many."""
    model = network(d_model=1).train()
    penalty = RatePenalty(model, 0.1, 2.0)
    for block, y in zip(model.blocks, ([1, 1, -1, -1], [1, 1, 1, -1]), strict=True):
        block.mixer.note_rate(torch.tensor(y, dtype=torch.float32).reshape(1, 1, 4))
    cost = penalty.take()
    assert penalty.rates.tolist() == [0.5, 0.75]
    assert cost.item() == pytest.approx(2.0 * (0.4 + 0.65) / 2)


def test_a_rate_brings_spikes_down_and_is_reported():
    _, _, trainer = trained("binary-s4d", epochs=4, lr=0.03, rate=0.05, rate_weight=20.0)
    first, last = (np.mean(trainer.reports[i].spike_rates) for i in (0, -1))
    assert len(trainer.reports[0].spike_rates) == 2
    assert last < first - 0.02


def test_a_dynamic_threshold_has_no_grid():
    quantiser = Quantiser(OPTIONS, "loihi2-sim", Data(task().train.x.numpy()))
    with pytest.raises(InputError, match="train with --threshold static"):
        quantiser.begin(network("gsu", threshold="dynamic"))
