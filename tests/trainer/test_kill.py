"""Killed at any moment the trainer leaves no half-written file, and its next start goes on."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from rootpainter_rootfm import masks
from rootpainter_rootfm.model.checkpoint import read_state
from rootpainter_rootfm.trainer.logs import CSV_HEADER

KILLS = 20
IMAGES = 4
SECONDS = 900

# The trainer as it is, with work small enough that a kill may meet any part of it. One process imports torch, and every
# life is forked from it: twenty starts of their own would spend the test's time on imports.
LIVES = """
import os, random, signal, sys
import torch
from rootpainter_rootfm.learn.fine_tuning import fine_tune, settings as fine_tune_settings
from rootpainter_rootfm.model import library
from rootpainter_rootfm.segment import engine, folder
from rootpainter_rootfm.trainer import fine_tuning, heartbeat, instructions, server
from rootpainter_rootfm.trainer.paths import SyncFolder

torch.set_num_threads(1)
for name in ("trunc_normal_", "kaiming_uniform_", "uniform_"):
    setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)  # the weights are read from a file anyway
heartbeat.SECONDS_TO_PROVE_LIFE = 0.3
instructions.STARTS = 10**6
fine_tuning.PATIENCE = 10**6
plain = fine_tune_settings.FineTuneSettings
tiny = {"patch": 32, "tile": 32, "tiles": 1, "batch": 1, "at_once": 1, "epoch": 1, "ripe": 0}
fine_tune_settings.FineTuneSettings = lambda **given: plain(**{**tiny, **given})
fine_tune.Measured.score = property(lambda self: random.random())  # every second epoch saves a model
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        random.seed(os.getpid())
        trainer = server.Server(SyncFolder(line.strip()))
        signal.signal(signal.SIGTERM, lambda *_: trainer.end())
        trainer.run()
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
"""


class Nursery:
    """Starts one trainer after the other."""

    def __init__(self, root):
        self._root = root
        self._process = subprocess.Popen(
            [sys.executable, "-c", LIVES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self):
        self._process.stdin.write(f"{self._root}\n")
        self._process.stdin.flush()
        self._child = int(self._process.stdout.readline())
        return self._child

    def end(self):
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:  # the test failed before it asked the trainer to end
            os.kill(self._child, signal.SIGKILL)
            self._process.wait(60)


def wait_for(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def check_whole(world, seen):
    """Every file that a user may lose is whole."""
    for folder in ("out", "projects/p/segmentations"):
        for path in (world.root / folder).glob("[!.]*"):
            assert masks.read(path).shape == (64, 96), path
    for path in (world.root / "projects/p/models").iterdir():
        assert path.suffix == ".pth" and path.name[0] != ".", "nothing but models among the models"
        if path not in seen:
            read_state(path)
            seen.add(path)
    for path in (world.root / "projects/p/logs").glob("*.csv"):
        text = path.read_text()
        assert text.startswith(CSV_HEADER) and text.endswith("\n")
        assert {len(row) for row in csv.reader(text.splitlines())} == {11}
    for path in (world.root / "rootfm_trainer.json", world.root / "out/.rootfm_job.json"):
        assert not path.exists() or json.loads(path.read_text())
    world.training()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process")
def test_killed_at_any_moment_it_leaves_whole_files_and_goes_on_at_its_next_start(world, model):
    names = [f"{number}.png" for number in range(IMAGES)]
    world.images([*names, "on_screen.png"])
    world.project(model=model)
    world.annotate("0.png")
    world.annotate("1.png", "val")
    own = {"again": True, "settings": {"tile": 32, "overlap": 0}}
    folder = {"model_paths": ["projects/p/models/000001_1.pth"], "dataset_dir": "datasets/d", "seg_dir": "out"}
    random.seed(8)
    nursery, seen = Nursery(world.root), set()
    try:
        began = time.monotonic()
        pid = nursery.start()
        wait_for(lambda: (world.root / "rootfm_trainer.json").exists())
        world.send("start_training", world.training_content())
        wait_for(lambda: len(list((world.root / "projects/p/models").iterdir())) > 1)
        # As long as a trainer here needs to start and to save a model: within this time a kill may meet anything.
        life = time.monotonic() - began
        for number in range(KILLS):
            os.kill(pid, signal.SIGKILL)
            check_whole(world, seen)
            job = world.send("segment", folder | {"file_names": names, "rootfm": own | {"job": str(number)}})
            screen = world.ask_image("on_screen.png", rootfm=own)
            pid = nursery.start()
            time.sleep(random.uniform(0, life))
        wait_for(lambda: all((world.sync.executed / file).exists() for file in (job, screen)))
        wait_for(lambda: world.heart()["state"] == "training" and world.training()["epoch"] > 1)
        os.kill(pid, signal.SIGTERM)
    finally:
        nursery.end()
    check_whole(world, seen)
    assert sorted(path.name for path in (world.root / "out").glob("[!.]*")) == sorted(names)
    assert world.heart()["stopped"] and world.training()["state"] == "stopped"
    left = [path.name for path in (world.sync.instructions / ".rootfm_taken").glob("[!.]*")]
    assert left == [], "what was asked for is done"
