"""Several plugins in one window, whatever one of them does."""

from __future__ import annotations

from PyQt5 import QtWidgets


def menus(window):
    return [action.text().replace("&", "") for action in window.menuBar().actions()]


def test_ours_and_a_second_plugin_share_the_window(launcher):
    titles = menus(launcher.open())
    assert titles.index("Models") == titles.index("Network") + 1
    assert "Second plugin" in titles


def test_faults_of_other_plugins_are_shown_once_and_stop_nobody(launcher, loaded, qtbot):
    window = launcher.open()
    qtbot.waitUntil(lambda: bool(window.findChildren(QtWidgets.QMessageBox)))
    text = window.findChildren(QtWidgets.QMessageBox)[0].text()
    assert "a fault on purpose" in text and "Faulty" in text
    assert loaded.faults == []
    assert "Models" in menus(window)


def test_plugin_that_fails_again_and_again_is_shown_once(launcher, loaded, caplog, qtbot):
    window = launcher.open()
    loaded.tell("menu_built", window, False)
    loaded.tell("menu_built", window, False)
    shown = [box for box in window.findChildren(QtWidgets.QMessageBox) if "a fault on purpose" in box.text()]
    assert len(shown) == 1 and loaded.faults == []
    assert caplog.text.count("failed in menu_built") == 3


def test_plugin_that_cannot_be_loaded_is_named(host):
    from importlib.metadata import EntryPoint

    from rootpainter_rootfm.painter.plugins import GROUP, Plugins

    # Without a working plugin nothing but RootPainter's own window methods is wrapped.
    loaded = Plugins(host, [EntryPoint("absent", "no_such_package:Plugin", GROUP)])
    assert loaded.loaded == []
    assert "'absent' could not be loaded: No module named 'no_such_package'" in loaded.faults[0]


def test_second_plugin_hears_of_start_window_and_project(launcher, loaded, project):
    listener = next(plugin for plugin in loaded.loaded if plugin.name == "Listener")
    listener.heard.clear()
    launcher.open(project)
    assert listener.heard == ["menu project", "project"]
