import numpy as np
import torch

import neurossm
from neurossm.models.checkpoint import save
from neurossm.models.config import InputSpec, ModelConfig
from neurossm.models.towers import PairHead, Towers


def test_head_compares_two_sequences():
    """W_1 picks z_1, z_2, z_1 z_2 and z_1 - z_2; W_2 weighs them 1, 10, 100, 1000."""
    head = PairHead(1, 4, 1)
    with torch.no_grad():
        head.hidden.weight.copy_(torch.eye(4))
        head.hidden.bias.zero_()
        head.output.weight.copy_(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]))
        head.output.bias.fill_(0.5)
        found = head(torch.tensor([[3.0], [2.0]]), torch.tensor([[2.0], [3.0]]))
    # 3 + 20 + 600 + 1000, and 2 + 30 + 600 + relu(-1) 1000
    assert found[:, 0].tolist() == [1623.5, 632.5]


def test_a_compiled_tower_serves_both_sequences(tmp_path):
    torch.manual_seed(0)
    config = ModelConfig("binary-s4d", InputSpec.tokens(5), 3, n_layers=1, d_model=8, d_state=4)
    towers = Towers(config, 2)
    x, lengths = torch.randint(0, 5, (40, 2, 30)), torch.randint(10, 31, (40, 2))
    for _ in range(50):
        towers.tower(x.flatten(0, 1))  # BatchNorm's statistics
    towers.eval()
    with torch.no_grad():
        expected = towers(x, lengths)
        alone = [towers.tower(x[:, i], lengths[:, i]) for i in (0, 1)]
        torch.testing.assert_close(expected, towers.head(*alone))
    save(tmp_path / "tower.pt", towers.tower, x[:, 0])
    program = neurossm.compile_model(tmp_path / "tower.pt")
    features = [
        program.readout.out.to_float(
            program.run(x[:, i].numpy(), engine="reference", lengths=lengths[:, i].numpy()).logits
        )
        for i in (0, 1)
    ]
    with torch.no_grad():
        found = towers.head(*(torch.tensor(z, dtype=torch.float32) for z in features))
    assert float(expected.std()) > 0.05
    assert np.abs(found.numpy() - expected.numpy()).max() < 0.1 * float(expected.std())
