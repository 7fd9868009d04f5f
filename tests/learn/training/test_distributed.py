import pytest
import torch

from rootpainter_rootfm.learn.training.distributed import Group, join


@pytest.fixture
def gloo():
    """A group of one process that is asked as one of several is."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield Group(size=2, device="cpu")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("so", [True, False])
def test_a_process_alone_and_one_of_a_group_ask_alike(gloo, so):
    assert join() == Group() and Group().everywhere(so) is so and gloo.everywhere(so) is so


def test_what_is_so_in_one_process_alone_is_not_so_everywhere(gloo, monkeypatch):
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda votes, how: votes.mul_(0))
    assert not gloo.everywhere(True)
