"""Which paths an instruction may name."""

import json
import logging
import os
import sys

import pytest

from rootpainter_rootfm.errors import HostError
from rootpainter_rootfm.trainer.paths import Refused, SyncFolder, find_sync_dir, plain_name


@pytest.fixture
def sync(tmp_path):
    folder = SyncFolder(tmp_path / "sync")
    folder.prepare()
    return folder


def link(path, target):
    try:
        path.symlink_to(target, target_is_directory=True)
    except OSError:
        pytest.skip("this system does not let a user make symbolic links")


@pytest.mark.parametrize(
    "text", ["datasets/a", "datasets\\a", "./datasets//a", "datasets/b/../a", "/sync/../datasets/a"]
)
def test_paths_are_read_as_rootpainters_own_trainer_reads_them(sync, text):
    if text.startswith("/"):
        text = str(sync.root / "x" / ".." / "datasets" / "a")
    assert sync.path(text) == sync.root / "datasets" / "a"


@pytest.mark.parametrize("text", ["../outside", "datasets/../../outside", "/etc/passwd", "..\\outside"])
@pytest.mark.parametrize("local", [False, True])
def test_a_path_that_leaves_the_sync_folder_is_refused(sync, text, local):
    with pytest.raises(Refused, match="outside the sync folder"):
        sync.path(text, local)


def test_a_link_that_leads_out_of_the_sync_folder_is_refused(sync, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link(sync.root / "datasets" / "linked", tmp_path / "elsewhere")
    with pytest.raises(Refused, match="elsewhere"):
        sync.path("datasets/linked")


def test_a_link_within_the_sync_folder_is_followed(sync):
    (sync.root / "datasets" / "real").mkdir()
    link(sync.root / "datasets" / "linked", sync.root / "datasets" / "real")
    assert sync.path("datasets/linked/x.png") == sync.root / "datasets" / "real" / "x.png"


def test_local_paths_need_both_the_instructions_wish_and_the_trainers_permission(tmp_path):
    outside = tmp_path / "outside"
    allowing = SyncFolder(tmp_path / "sync", allow_local_paths=True)
    assert allowing.path(str(outside), local=True) == outside.resolve()
    with pytest.raises(Refused):
        allowing.path(str(outside))
    with pytest.raises(Refused, match="--allow-local-paths"):
        SyncFolder(tmp_path / "sync").path(str(outside), local=True)


@pytest.mark.parametrize("text", ["", None, 3, ["a"], "a\0b"])
def test_what_is_no_path_is_refused(sync, text):
    with pytest.raises(Refused):
        sync.path(text)


@pytest.mark.parametrize("name", ["../a.png", "a/b.png", "a\\b.png", "C:\\a.png", "", "..", 7, "a\0.png"])
def test_file_names_are_bare_names_on_every_system(name):
    with pytest.raises(Refused):
        plain_name(name)


@pytest.mark.parametrize("name", ["a.png", "ä [1] (copy).tif", "..hidden.png", "a b.c.jpg"])
def test_usual_file_names_pass(name):
    assert plain_name(name) == name


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def test_without_an_option_the_sync_folder_is_the_one_in_rootpainters_settings(home):
    (home / "root_painter_settings.json").write_text(json.dumps({"sync_dir": "/data/sync"}))
    assert str(find_sync_dir(None)).replace("\\", "/") == "/data/sync"
    assert find_sync_dir("here").name == "here"


@pytest.mark.parametrize("text", [None, "{", "{}", "[]"])
def test_without_a_known_sync_folder_it_says_which_option_to_give(home, text, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    if text is not None:
        (home / "root_painter_settings.json").write_text(text)
    with pytest.raises(HostError, match="--syncdir"):
        find_sync_dir(None)


@pytest.mark.parametrize("name", ["3:12 root.png", "C:a.png"])
def test_a_colon_is_refused_only_where_it_names_a_drive(name, monkeypatch):
    monkeypatch.setattr(os, "name", "posix")
    assert plain_name(name) == name
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(Refused):
        plain_name(name)


def test_a_sync_folder_is_made_where_only_itself_is_missing_and_that_is_said(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        SyncFolder(tmp_path / "sync").prepare()
        SyncFolder(tmp_path / "sync").prepare()
    assert (tmp_path / "sync" / "instructions").is_dir()
    assert caplog.text.count("did not exist and was made") == 1


def test_a_drive_that_is_not_connected_is_no_new_sync_folder(tmp_path):
    with pytest.raises(HostError, match="lab.sync does not exist. Check its name"):
        SyncFolder(tmp_path / "lab" / "sync").prepare()
    assert not (tmp_path / "lab").exists()


def test_a_sync_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="file"):
        SyncFolder(tmp_path / "file").prepare()
