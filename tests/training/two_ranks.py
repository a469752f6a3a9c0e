"""One rank of a distributed run: its data, its generators and its metrics are its own.

    two_ranks.py RANK RANKS FILE

Prints two lines of JSON, with metrics averaged over the ranks and without: the resets and their
reasons, the best metric, the digest of the weights.
"""

from __future__ import annotations

import json
import math
import sys

import torch
from torch import nn

import resetsgd as rs
from resetsgd.training import Resetter, resets
from resetsgd.training.storage import digest


def run(rank: int, synchronise: bool) -> None:
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 1)))
    torch.manual_seed(rank)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    resetter = Resetter(
        model,
        optimizer,
        [rs.Geometric(probability=0.15), resets.OnSpike(window=3, most=2)],
        seed=8,
        layers=["0"],
        synchronise=synchronise,
    )
    for index in range(60):
        torch.rand(rank + 1)
        optimizer.zero_grad()
        loss = model(torch.randn(8, 5)).square().mean()
        loss.backward()
        optimizer.step()
        spike = index == 50 and rank == 1
        resetter.step(loss=math.nan if spike and synchronise else 1.0)
        if index % 5 == 0:
            resetter.observe(math.cos(index * (rank + 1)))
    found = {
        "resets": resetter.resets,
        "reasons": [event.reason for event in resetter.events],
        "best": resetter.best,
        "weights": digest(dict(model.module.state_dict())),
    }
    print(json.dumps(found))


def main(rank: int, ranks: int, file: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{file}", rank=rank, world_size=ranks
    )
    for synchronise in (True, False):
        run(rank, synchronise)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
