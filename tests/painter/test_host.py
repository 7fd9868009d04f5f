"""Which RootPainter is here and whether it is as expected."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from rootpainter_rootfm.errors import HostError
from rootpainter_rootfm.painter.folder.host_segment import _refusal
from rootpainter_rootfm.painter.host import Seam, find_host, lacking
from rootpainter_rootfm.painter.plugin import RootFMPlugin
from rootpainter_rootfm.painter.plugins import WINDOW_SEAMS


def test_version_is_read_from_rootpainter_itself(host):
    assert re.fullmatch(r"\d+\.\d+\.\d+", host.version)


def test_every_seam_of_ours_is_there_in_a_tested_rootpainter(host):
    assert host.missing((*WINDOW_SEAMS, *RootFMPlugin.seams)) == {}


def test_missing_method_is_named_with_part_and_version(host):
    faults = host.missing([Seam("the part", "segment_folder", "SegmentFolderWidget", "renamed")])
    assert "SegmentFolderWidget.renamed is missing" in faults["the part"]
    assert host.version in faults["the part"] and "'the part' is switched off" in faults["the part"]


def test_missing_class_and_module_are_named(host):
    assert "NoSuch is missing" in host.missing([Seam("p", "nav", "NoSuch", "x")])["p"]
    assert "NavWidget is missing" in host.missing([Seam("p", "no_such_module", "NavWidget", "x")])["p"]


def test_changed_parameters_are_named(host):
    seam = Seam("p", "root_painter", "RootPainter", "segment_image", ("something_else",))
    assert "(self, image_fnames) instead of (self, something_else)" in host.missing([seam])["p"]


def test_attribute_seam_needs_no_signature(host):
    assert host.missing([Seam("p", "create_project", "CreateProjectWidget", "created", None)]) == {}


def test_checkout_without_rootpainter_is_refused_with_the_next_step(tmp_path):
    with pytest.raises(HostError, match="root_painter.py"):
        find_host(tmp_path)


def test_lacking_names_the_first_missing_attribute():
    class Thing:
        inner = "text"

    assert lacking(Thing(), ["inner.upper"]) is None
    assert lacking(Thing(), ["inner.upper", "inner.gone.further"]) == "Thing.inner.gone.further"


def test_rootpainters_own_dialog_is_held_to_the_spelling_of_the_sync_folder(sync, tmp_path):
    alias = tmp_path / "alias"
    alias.symlink_to(sync)
    widget = SimpleNamespace(input_dir=str(alias / "datasets"), output_dir=str(alias / "out"), selected_models=())
    assert _refusal(SimpleNamespace(folder=alias), widget) is None
    widget.input_dir = str(sync / "datasets")  # of this RootPainter would make a path that leads nowhere
    assert str(sync) in _refusal(SimpleNamespace(folder=alias), widget)
