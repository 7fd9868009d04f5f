import os
import socket

import pytest
from PIL import Image

from rootpainter_rootfm import masks
from rootpainter_rootfm.cli.main import main
from rootpainter_rootfm.model import library
from rootpainter_rootfm.segment import backend
from tests.segment.helpers import Brightness, card


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("the demo asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def bright_model(monkeypatch):
    monkeypatch.setattr(library, "load_model", lambda name, progress: (Brightness(), card(str(name), trained=False)))
    monkeypatch.setattr(backend, "accelerated", lambda network: network)


def test_the_demo_draws_segments_and_shows(tmp_path, no_network, bright_model, capsys):
    out = tmp_path / "demo"
    assert main(["demo", str(out), "--images", "2", "--device", "cpu"]) == 0
    assert sorted(os.listdir(out / "photographs")) == ["roots_1.png", "roots_2.png"]
    with Image.open(out / "photographs" / "roots_1.png") as photograph:
        size = photograph.size
    assert masks.read(out / "masks" / "roots_1.png").shape == size[::-1]
    with Image.open(out / "overlays.png") as sheet:
        assert sheet.width > 640
    said = capsys.readouterr()
    assert str(out / "overlays.png") in said.out and "mean Dice" in said.out
    assert "has not been trained" in said.err


def test_the_demo_draws_the_same_again_and_so_has_nothing_to_do(tmp_path, bright_model):
    assert main(["demo", str(tmp_path), "--images", "1"]) == 0
    before = (tmp_path / "masks" / "roots_1.png").stat().st_mtime_ns
    assert main(["demo", str(tmp_path), "--images", "1"]) == 0
    assert (tmp_path / "masks" / "roots_1.png").stat().st_mtime_ns == before


def test_the_demo_goes_to_a_folder_of_its_own_by_default(tmp_path, bright_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--images", "1"]) == 0
    assert os.listdir(tmp_path) == ["rootfm-demo"]
