import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
from PIL import Image

from rootpainter_rootfm import files, masks
from rootpainter_rootfm.cli.main import main
from rootpainter_rootfm.model import library
from rootpainter_rootfm.segment import backend
from rootpainter_rootfm.segment.settings import SegmentSettings
from tests.segment.helpers import Brightness, card, photograph

START = "from rootpainter_rootfm.cli.main import main; raise SystemExit(main())"


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(photograph(40, 50, number)).save(folder / f"p{number}.png")
    return folder


@pytest.fixture
def known_models(monkeypatch):
    """Models by name whose masks are known beforehand; `raw` was never trained."""
    models = {name: card(name, trained=name != "raw") for name in ("rootfm", "other", "raw")}
    monkeypatch.setattr(library, "load_model", lambda name, progress: (Brightness(), models[str(name)]))
    monkeypatch.setattr(backend, "accelerated", lambda network: network)
    return models


def rows_of(out):
    with open(out / "rootfm_report.csv", encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def manifest_of(out):
    return json.loads((out / "rootfm_manifest.json").read_text(encoding="utf-8"))


def test_the_manifest_tells_of_every_run_that_made_a_mask(photographs, known_models, tmp_path):
    out, one = tmp_path / "out", sorted(photographs.iterdir())[0]
    for arguments in ([str(photographs)], [str(photographs)], [str(one), "--threshold", "0.3"]):
        main(["segment", arguments[0], str(out), "--device", "cpu", *arguments[1:]])
    manifest = manifest_of(out)
    assert manifest["settings"]["threshold"] == 0.3 and manifest["images"]["made"] == 1
    (first,) = manifest["earlier_runs"]
    assert first["images"]["made"] == 3 and "earlier_runs" not in first


def test_a_folder_becomes_masks_a_report_and_a_manifest(photographs, known_models, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert main(["segment", str(photographs), str(out), "--device", "cpu"]) == 0
    assert sorted(os.listdir(out)) == ["p0.png", "p1.png", "p2.png", "rootfm_manifest.json", "rootfm_report.csv"]
    assert [row["status"] for row in rows_of(out)] == ["made"] * 3
    manifest = manifest_of(out)
    assert manifest["models"][0]["sha256"] == card("rootfm").sha256
    assert manifest["settings"]["device"] == "cpu" and manifest["images"]["made"] == 3
    assert set(manifest["versions"]) >= {"python", "torch", "numpy", "pillow"}
    said = capsys.readouterr()
    assert "3 masks made, 0 kept from an earlier run, 0 images failed" in said.out
    assert "3/3" in said.err, "the bar goes to standard error"


def test_preview_and_probability_lie_beside_the_masks(photographs, known_models, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["segment", str(photographs), str(out), "--preview", "--probability"]) == 0
    with Image.open(out / "rootfm_preview" / "overlays.png") as sheet:
        assert sheet.width > 640
    assert len(os.listdir(out / "rootfm_probability")) == 3
    assert str(out / "rootfm_preview" / "overlays.png") in capsys.readouterr().out


def test_a_bad_image_is_named_at_the_end_and_in_the_exit_code(photographs, known_models, tmp_path, capsys):
    (photographs / "p1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    out = tmp_path / "out"
    assert main(["segment", str(photographs), str(out)]) == 1
    assert [row["status"] for row in rows_of(out)] == ["made", "failed", "made"]
    said = capsys.readouterr()
    assert "2 masks made, 0 kept from an earlier run, 1 image failed" in said.out and "Failed: p1.png: " in said.err
    assert not (out / "p1.png").exists()


def test_sixteen_bit_tiffs_become_masks_of_what_they_show(known_models, tmp_path):
    (tmp_path / "in").mkdir()
    ramp = np.linspace(300, 9000, 64 * 64).reshape(64, 64).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in" / "deep.tif", ramp)
    assert main(["segment", str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    mask = masks.read(tmp_path / "out" / "deep.png")
    assert 0.4 < mask.mean() < 0.7, "neither all white nor all black"
    assert mask[-1].all() and not mask[0].any()


def test_a_second_run_keeps_what_is_done_and_overwrite_does_not(photographs, known_models, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["segment", str(photographs), out]) == 0
    assert main(["segment", str(photographs), out, "--preview"]) == 0
    assert "0 masks made, 3 kept" in capsys.readouterr().out
    assert (tmp_path / "out" / "rootfm_preview" / "overlays.png").exists()
    assert main(["segment", str(photographs), out, "--overwrite"]) == 0
    assert "3 masks made, 0 kept" in capsys.readouterr().out


def test_every_setting_has_its_option(photographs, known_models, tmp_path):
    given = {
        "device": "cpu",
        "tile": 64,
        "overlap": 0.25,
        "batch": 2,
        "precision": "fp32",
        "threshold": 0.4,
        "min_root_pixels": 3,
        "flips": True,
        "edges": False,
        "balance": False,
        "glance": False,
        "second_look": False,
        "scale": 2.0,
        "padding": "black",
    }
    assert given.keys() == SegmentSettings().to_dict().keys()
    arguments = []
    for name, value in given.items():
        option = name.replace("_", "-")
        arguments += [f"--{option}"] if value is True else [f"--no-{option}"] if value is False else []
        arguments += [] if isinstance(value, bool) else [f"--{option}", str(value)]
    assert main(["segment", str(photographs), str(tmp_path / "out"), *arguments]) == 0
    assert manifest_of(tmp_path / "out")["settings"] == given


@pytest.mark.parametrize(("name", "suffix"), [("rootpainter", ".png"), ("rhizovision", ".png"), ("npz", ".npz")])
def test_every_format_can_be_chosen(photographs, known_models, tmp_path, name, suffix):
    assert main(["segment", str(photographs), str(tmp_path / "out"), "--format", name]) == 0
    assert masks.read(tmp_path / "out" / f"p0{suffix}").shape == (40, 50)
    assert masks.MaskFormat[name.upper()].value == manifest_of(tmp_path / "out")["masks_are_decided_by"]["format"]


def test_one_file_and_one_page_of_it(known_models, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "t.tif", np.stack([photograph(32, 32, n) for n in (1, 2)]), photometric="rgb")
    assert main(["segment", str(tmp_path / "t.tif"), str(tmp_path / "out"), "--page", "1"]) == 0
    assert "Note: t.tif: only page 1 of its 2 pages was segmented" in capsys.readouterr().err
    assert main(["segment", str(tmp_path / "t.tif"), str(tmp_path / "out"), "--page", "1"]) == 0
    said = capsys.readouterr()
    assert "1 kept" in said.out and "Note: t.tif: only page 1 of its 2 pages was segmented" in said.err
    assert main(["segment", str(tmp_path / "t.tif"), str(tmp_path / "out")]) == 1
    assert "t.png was there already and belongs to page 1 of t.tif" in capsys.readouterr().err
    (tmp_path / "out" / "t.png").unlink()
    assert main(["segment", str(tmp_path / "t.tif"), str(tmp_path / "out"), "--page", "2"]) == 1
    assert "it has no page 2" in capsys.readouterr().err


def test_one_image_made_again_keeps_the_rows_of_the_others(photographs, known_models, tmp_path):
    out = tmp_path / "out"
    assert main(["segment", str(photographs), str(out)]) == 0
    assert main(["segment", str(photographs / "p1.png"), str(out), "--overwrite"]) == 0
    assert [row["image"] for row in rows_of(out)] == ["p0.png", "p1.png", "p2.png"]


def test_pictures_of_other_kinds_and_subfolders_are_named(photographs, known_models, tmp_path, capsys):
    (photographs / "IMG_1.HEIC").touch()
    out = photographs / "masks"
    for _ in range(2):  # the second time the folder of masks is there, which is none of photographs
        assert main(["segment", str(photographs), str(out)]) == 0
        assert "Note: 1 file of other kinds (.HEIC) was left alone: export" in capsys.readouterr().err


def test_a_disk_that_takes_no_masks_is_one_sentence(photographs, known_models, tmp_path, monkeypatch, capsys):
    def full(*picture):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    assert main(["segment", str(photographs), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert f"rootfm: Masks cannot be written to {tmp_path / 'out'}: No space left on device." in said
    assert "The report" not in said and "Traceback" not in said


def test_a_report_that_is_open_elsewhere_costs_no_manifest(photographs, known_models, tmp_path, capsys):
    (tmp_path / "out" / "rootfm_report.csv").mkdir(parents=True)  # as good as a file that another program holds
    assert main(["segment", str(photographs), str(tmp_path / "out")]) == 2
    assert "rootfm_report.csv cannot be written" in capsys.readouterr().err
    assert manifest_of(tmp_path / "out")["images"]["made"] == 3


def test_several_models_are_an_ensemble(photographs, known_models, tmp_path):
    assert main(["segment", str(photographs), str(tmp_path / "out"), "-m", "rootfm", "-m", "other"]) == 0
    assert [model["name"] for model in manifest_of(tmp_path / "out")["models"]] == ["rootfm", "other"]


def test_an_untrained_model_is_said_to_be_one(photographs, known_models, tmp_path, capsys):
    main(["segment", str(photographs), str(tmp_path / "a")])
    assert "untrained" not in capsys.readouterr().err
    main(["segment", str(photographs), str(tmp_path / "b"), "--model", "raw"])
    assert "raw has not been trained" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "out"], "no file or folder nowhere"),
        (["empty", "out"], "empty holds no PNG"),
        (
            [".", "out"],
            "images. 1 file of other kinds (.CR2) and 3 subfolders were left alone: export such files as JPEG",
        ),
        (["in", "in"], "another output folder"),
        (["in", "in/p0.png"], "is a file"),
        (["in", "out", "--tile", "100"], "setting tile is 100"),
        (["in", "out", "--precision", "bf16", "--device", "cpu"], "precision bf16 is for CUDA devices only"),
        (["clash", "out"], "would share one mask"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    photographs, known_models, tmp_path, monkeypatch, capsys, arguments, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.cr2").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "clash").mkdir()
    for name in ("a.png", "a.bmp"):
        Image.fromarray(photograph(8, 8)).save(tmp_path / "clash" / name)
    before = sorted(tmp_path.rglob("*"))
    assert main(["segment", *arguments]) == 2
    errors = capsys.readouterr().err
    assert said in errors and "Traceback" not in errors
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_model_is_an_error_that_lists_the_known_ones(photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ROOTFM_HOME", str(tmp_path / "home"))
    assert main(["segment", str(photographs), str(tmp_path / "out"), "-m", "rotfm"]) == 2
    errors = capsys.readouterr().err
    assert "rotfm" in errors and library.DEFAULT_MODEL in errors.replace("rotfm", "")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["in"],
        ["in", "out", "--page", "-1"],
        ["in", "out", "--page", "x"],
        ["in", "out", "--max-pixels", "-5"],
        ["in", "out", "--format", "tiff"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["segment", *arguments])
    assert stopped.value.code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_whole_masks_and_the_next_run_goes_on(tmp_path):
    import torch

    from rootpainter_rootfm.model.checkpoint import write_pth
    from rootpainter_rootfm.model.network import MobileSAM

    torch.manual_seed(0)
    write_pth(MobileSAM().state_dict(), tmp_path / "random.pth")
    (tmp_path / "in").mkdir()
    for number in range(25):
        Image.fromarray(photograph(64, 64, number)).save(tmp_path / "in" / f"p{number:02}.png")
    out = tmp_path / "out"
    command = [sys.executable, "-c", START, "segment", str(tmp_path / "in"), str(out)]
    command += ["-m", str(tmp_path / "random.pth"), "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ROOTFM_HOME": str(tmp_path / "home")}
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 120
    while not list(out.glob("p*.png")) and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130, said
    assert "Traceback" not in said
    made = sorted(out.glob("p*.png"))
    assert 0 < len(made) < 25
    assert all(masks.read(path).shape == (64, 64) for path in made)
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    statuses = [row["status"] for row in rows_of(out)]
    assert statuses.count("not reached") >= 1 and statuses.count("made") <= len(made)

    subprocess.run(command, env=environment, check=True, capture_output=True)
    statuses = [row["status"] for row in rows_of(out)]
    assert statuses == ["skipped"] * len(made) + ["made"] * (25 - len(made))
