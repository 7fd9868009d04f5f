import pytest
import torch
from torch import nn

from rootpainter_rootfm.errors import DataError
from rootpainter_rootfm.learn.training.state import (
    WeightAverage,
    chosen_weights,
    last_average,
    last_state,
    make_optimizer,
)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)


def filled(value):
    network = Small()
    with torch.no_grad():
        for tensor in [*network.parameters(), network.norm.running_mean, network.norm.running_var]:
            tensor.fill_(value)
    network.norm.num_batches_tracked.fill_(int(value))
    return network


def test_the_average_moves_towards_the_weights_and_their_statistics():
    average = WeightAverage(filled(0.0), decay=0.9)
    for _ in range(200):
        average.update(filled(4.0))
    assert average.network.layer.weight.allclose(torch.tensor(4.0), atol=1e-3)
    assert average.network.norm.running_mean.allclose(torch.tensor(4.0), atol=1e-3)
    assert average.network.norm.num_batches_tracked == 4
    assert not average.network.training and not any(p.requires_grad for p in average.network.parameters())


def test_the_start_of_a_training_is_soon_forgotten():
    slow = WeightAverage(filled(0.0), decay=0.9999)
    for _ in range(30):
        slow.update(filled(1.0))
    assert slow.network.layer.weight.min() > 0.95  # with the full decay from the start it would be 0.003


def test_later_updates_keep_the_share_of_the_decay():
    average = WeightAverage(filled(0.0), decay=0.5)
    average.updates = 1000
    average.update(filled(1.0))
    assert average.network.layer.weight.allclose(torch.tensor(0.5))


def test_only_weights_of_two_or_more_dimensions_decay():
    network = Small()
    network.layer.bias.requires_grad_(False)
    decayed, kept = make_optimizer(network, 1e-3, 0.05).param_groups
    assert decayed["weight_decay"] == 0.05 and [p.shape for p in decayed["params"]] == [(2, 3)]
    assert kept["weight_decay"] == 0 and len(kept["params"]) == 2


def write(folder, name, step):
    torch.save({"step": step, "average": {"w": torch.full((1,), float(step))}}, folder / name)


def test_a_training_goes_on_from_its_last_checkpoint(tmp_path):
    assert last_state(tmp_path) is None
    write(tmp_path, "last.pt", 5)
    assert last_state(tmp_path)["step"] == 5


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04 cut short"])
def test_a_broken_checkpoint_says_which_file_and_what_to_do(tmp_path, content):
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(DataError, match=r"last\.pt cannot be read: .*Remove it"):
        last_state(tmp_path)


def test_the_chosen_weights_are_the_best_or_else_the_last_average(tmp_path):
    with pytest.raises(DataError, match="holds no training"):
        chosen_weights(tmp_path)
    write(tmp_path, "last.pt", 7)
    assert chosen_weights(tmp_path)["w"] == 7
    torch.save({"w": torch.ones(1)}, tmp_path / "best.pt")
    assert chosen_weights(tmp_path)["w"] == 1 and last_average(tmp_path)["w"] == 7
