"""Whether a folder takes files at all, or only one of them was refused."""

import errno
import os

import pytest

from rootpainter_rootfm.errors import MaskError
from rootpainter_rootfm.segment import disk
from rootpainter_rootfm.segment.disk import DiskError, refusal, try_to_write


@pytest.fixture
def closed(monkeypatch):
    """Nothing can be written any more."""

    def refuse(path, data):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(disk.Path, "write_bytes", refuse)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_a_refusal(tmp_path, code):
    assert str(tmp_path) in refusal(tmp_path, OSError(code, "no"))
    wrapped = MaskError("a.png cannot be written")
    wrapped.__cause__ = OSError(code, "no")
    assert refusal(tmp_path, wrapped)


@pytest.mark.parametrize("error", [OSError(errno.EHOSTDOWN, "Host is down"), FileNotFoundError(errno.ENOENT, "gone")])
def test_a_share_that_is_away_is_none(tmp_path, closed, error):
    assert refusal(tmp_path, error) == ""


def test_a_folder_on_a_share_that_has_dropped_is_gone(tmp_path, monkeypatch):
    def dropped(path, **_):
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(os, "stat", dropped)
    assert "is gone" in refusal(tmp_path, OSError(errno.ENOTCONN, "Transport endpoint is not connected"))


def test_a_single_mask_that_another_program_holds_is_none(tmp_path):
    assert refusal(tmp_path, PermissionError(errno.EACCES, "held")) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_only_be_read_is_one(tmp_path, closed):
    assert "Permission denied" in refusal(tmp_path, PermissionError(errno.EACCES, "no"))
    with pytest.raises(DiskError, match="allow writing there"):
        try_to_write(tmp_path)


def test_a_sample_that_a_virus_scanner_holds_is_no_refusal(tmp_path, monkeypatch):
    def held(path, missing_ok=False):
        raise PermissionError(errno.EACCES, "held")

    monkeypatch.setattr(disk.Path, "unlink", held)
    try_to_write(tmp_path)
