"""Several GPUs through torchrun; without it, a group of one."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Group:
    """This process among those that train together.

    Attributes:
        rank: 0 for the process that writes files.
        size: number of processes.
        device: the GPU of this process, None when it trains alone.
    """

    rank: int = 0
    size: int = 1
    device: str | None = None

    @property
    def leads(self) -> bool:
        """Whether this process writes checkpoints and logs."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as it is trained: gradients, and the statistics of its normalisations, are shared."""
        if self.size == 1:
            return network
        shared = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return DistributedDataParallel(shared, device_ids=[torch.device(self.device).index])

    def everywhere(self, so: bool) -> bool:
        """Whether it is so in every process. All have to ask, in the same order: they wait for one that does not."""
        if self.size == 1:
            return so
        votes = torch.tensor(int(so), device=self.device)
        torch.distributed.all_reduce(votes, torch.distributed.ReduceOp.MIN)
        return bool(votes)

    def leave(self) -> None:
        """Ends the group."""
        if self.size > 1:
            torch.distributed.destroy_process_group()


def join() -> Group:
    """Joins the processes that torchrun started."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Group()
    torch.distributed.init_process_group("nccl")
    index = int(os.environ["LOCAL_RANK"])
    torch.cuda.set_device(index)
    return Group(torch.distributed.get_rank(), size, f"cuda:{index}")
