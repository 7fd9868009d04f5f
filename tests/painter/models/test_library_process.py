"""The process that works on model files: what it answers, and what it is not taken in by."""

from __future__ import annotations

from rootpainter_rootfm.painter.models.library_process import LibraryProcess


def test_what_lies_in_the_folder_of_the_start_is_not_run(tmp_path, library_home, monkeypatch, qtbot):
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong random')")
    monkeypatch.chdir(tmp_path)
    process = LibraryProcess("prepare", "no such model", str(tmp_path / "m.pth"))
    with qtbot.waitSignal(process.failed, timeout=60_000) as failed:
        process.start()
    assert "no such model" in str(failed.args[0]) and "wrong random" not in str(failed.args[0])


def test_a_line_of_json_that_is_no_answer_is_chatter(tmp_path, qtbot):
    process = LibraryProcess("prepare")
    lines = "print('3'); print('null'); print('[1]'); print('{\"result\": \"here\"}'); print('\"done\"')"
    process._process.setArguments(["-c", lines])
    with qtbot.waitSignal(process.done, timeout=60_000) as done:
        process.start()
    assert done.args == ["here"]
