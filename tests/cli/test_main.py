import io
import subprocess
import sys

import pytest

from rootpainter_rootfm.cli.main import main
from rootpainter_rootfm.model import library


def test_what_the_disk_refuses_is_one_sentence_with_the_file(tmp_path, capsys):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")
    assert main(["demo", str(in_the_way / "out"), "--images", "1"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("rootfm: ") and str(in_the_way) in said and "Traceback" not in said


def test_a_bug_report_says_that_there_are_no_models(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ROOTFM_HOME", str(tmp_path))
    monkeypatch.setattr(library, "bundle_folder", lambda: tmp_path / "nothing")
    assert main(["info"]) == 0
    assert "no models" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["list", "info"])
def test_who_has_read_enough_is_told_nothing_more(verb):
    words = ["models", "list"] if verb == "list" else ["models", "info", "rootfm"]
    code = f"import sys; from rootpainter_rootfm.cli.main import main; sys.exit(main({words}))"
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    command.stdout.close()
    assert command.stderr.read() == b"" and command.wait() == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("moment", ["print", "end"])
def test_a_second_ctrl_c_is_quiet(moment):
    """It comes while the sentence is printed, or while the interpreter ends and waits for what is being written."""
    code = f"""
import builtins, signal, sys, threading
from rootpainter_rootfm.cli import main, segment
signal.signal(signal.SIGINT, signal.default_int_handler)
def interrupt(*_, **__):
    signal.raise_signal(signal.SIGINT)
segment.run = interrupt
if {moment!r} == "print":
    builtins.print = lambda *text, file=None: interrupt() or file.write(*text)
else:
    threading._register_atexit(interrupt)
sys.exit(main.main(["segment", "in", "out"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (130, "Stopped. Nothing half-written was left behind.")


def test_what_a_code_page_lacks_does_not_end_a_command(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp437", errors="strict"))
    assert main(["models", "info", "rootfm"]) == 0
    sys.stdout.flush()
    assert b"2 ? " in raw.getvalue()
