import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch

from rootpainter_rootfm import __version__
from rootpainter_rootfm.cli.main import main
from rootpainter_rootfm.files import sha256
from rootpainter_rootfm.model.checkpoint import read_state, write_safetensors
from rootpainter_rootfm.model.library import Library
from rootpainter_rootfm.model.network import MobileSAM


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "barley.safetensors"
    write_safetensors(MobileSAM().state_dict(), path)
    return path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ROOTFM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def rootfm(capsys, *arguments):
    """Exit code, standard output and standard error of one command."""
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_the_story_of_a_model_from_import_to_removal(capsys, weights, tmp_path, home):
    assert rootfm(capsys, "models", "add", weights)[:2] == (
        0,
        f"{weights} is in the library as barley. Use it with: rootfm segment IN OUT -m barley\n",
    )
    code, out, _ = rootfm(capsys, "models", "list")
    header, first, second = out.splitlines()
    assert code == 0 and first.startswith("rootfm") and second.startswith("barley")
    for column in ("SIZE", "WHERE", "LICENCE", "TITLE"):
        place = header.index(column)
        assert all(line[place - 1] == " " and line[place] != " " for line in (first, second))
    assert "imported" in second and "20.3 MB" in second
    code, out, _ = rootfm(capsys, "models", "info", "barley")
    assert code == 0 and Library().get("barley").sha256 in out and "0.5" in out
    assert rootfm(capsys, "models", "verify", "barley")[:2] == (0, "barley: complete and unchanged\n")
    assert rootfm(capsys, "models", "export", "barley", tmp_path / "b.pth")[0] == 0
    assert torch.equal(*(read_state(path)["mask_decoder.iou_token.weight"] for path in (weights, tmp_path / "b.pth")))
    assert rootfm(capsys, "models", "remove", "barley")[:2] == (0, "Removed barley.\n")
    assert "barley" not in rootfm(capsys, "models", "list")[1]


def test_a_name_can_be_given(capsys, weights):
    assert rootfm(capsys, "models", "add", weights, "--name", "field-2")[0] == 0
    assert rootfm(capsys, "models", "info", "field-2")[0] == 0


def test_an_untrained_model_is_called_so_wherever_it_is_shown(capsys, tmp_path, weights):
    raw = tmp_path / "raw.safetensors"
    shutil.copyfile(weights, raw)
    card = replace(Library().get("rootfm"), name="raw", file=raw.name, sha256=sha256(raw), trained=False)
    raw.with_suffix(".json").write_text(card.to_json(), encoding="utf-8")
    rootfm(capsys, "models", "add", raw)
    assert "masks mean nothing" in rootfm(capsys, "models", "info", "raw")[1]
    code, _, err = rootfm(capsys, "models", "export", "raw", tmp_path / "r.pth")
    assert code == 0 and "not been trained" in err
    assert "untrained" in rootfm(capsys, "info")[1]


def test_lists_and_tables_in_the_notes_keep_their_lines(capsys, home):
    notes = Library().get("rootfm").notes
    rows = [line for line in notes.splitlines() if line.startswith("| segroot |")]
    shown = [line.strip() for line in rootfm(capsys, "models", "info", "rootfm")[1].splitlines()]
    assert rows and set(rows) <= set(shown)


def test_what_a_user_should_know_comes_before_the_notes(capsys):
    shown = rootfm(capsys, "models", "info", "rootfm")[1].splitlines()
    places = [
        next(number for number, line in enumerate(shown) if line.startswith(label))
        for label in ("Title", "Weak at", "Tiles", "Padding", "Threshold", "SHA-256", "Notes")
    ]
    assert places == sorted(places) and places[-2] < 25


@pytest.mark.parametrize("action", ["info", "remove", "verify"])
def test_an_unknown_name_is_a_failure_that_lists_the_known_ones(capsys, action):
    code, out, err = rootfm(capsys, "models", action, "rotfm")
    assert code == (1 if action == "verify" else 2) and not out and "which has: rootfm" in err


def test_a_wrong_file_is_one_sentence_on_standard_error(capsys, tmp_path):
    (tmp_path / "a.pth").write_bytes(b"no weights")
    code, out, err = rootfm(capsys, "models", "add", tmp_path / "a.pth")
    assert code == 2 and not out and err.startswith("rootfm: ") and err.count("\n") == 1 and "a.pth" in err


def test_verify_goes_through_all_models_and_tells_which_are_damaged(capsys, weights, home):
    rootfm(capsys, "models", "add", weights)
    rootfm(capsys, "models", "add", weights.parent / "barley.safetensors")
    file = Library().path(Library().get("barley"))
    file.write_bytes(file.read_bytes()[:-1])
    (home / "models" / "odd").mkdir()
    (home / "models" / "odd" / "card.json").write_text("{}")
    code, out, err = rootfm(capsys, "models", "verify")
    assert code == 1 and out == "rootfm: complete and unchanged\n"
    assert "barley is damaged" in err and "odd" in err
    assert "odd" in rootfm(capsys, "models", "list")[2]


def test_info_tells_versions_devices_models_and_paths(capsys, home):
    code, out, _ = rootfm(capsys, "info", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["versions"]["rootpainter-rootfm"] == __version__ and torch.__version__.startswith(
        found["versions"]["torch"]
    )
    assert found["devices"]["cpu threads"] == torch.get_num_threads() and "mps" in found["devices"]
    assert found["paths"]["library"] == str(home) and found["paths"]["python"] == sys.executable
    assert "sha256" in found["models"]["rootfm"]
    plain = rootfm(capsys, "info")[1]
    assert all(str(value) in plain for section in found.values() for value in section.values())


def test_info_still_answers_when_torch_cannot_be_imported(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, _ = rootfm(capsys, "info")
    assert code == 0 and "cannot be imported" in out
