"""What an open project has beyond RootPainter's own: entries in its menus, and the parts behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PyQt5 import QtCore, QtWidgets

from ..models.choice import is_unet, uses_foundation_model, window_checkpoints
from ..models_menu import find_menu
from ..session import Session
from .fine_tune import FineTunePanel
from .image_list import ImageList
from .renewal import MaskRenewal
from .view import ProjectView
from .waiting import MaskWait

_DOCK_WIDTH = 300
_ROOMY = QtCore.QSize(1000, 720)


class Project(QtCore.QObject):
    """The parts of one project window.

    Attributes:
        view: mask, opacity and uncertainty.
        images: the list of images by uncertainty.
        training: the panel of training.
        renewal: asks for new masks.
    """

    def __init__(self, session: Session, window: Any, fallback: QtWidgets.QMenu) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        self._make_room(window)
        self.view = ProjectView(session, window)
        self.images = self._dock(ImageList(session, window))
        self.renewal = MaskRenewal(session, window)
        self.images.rest_asked.connect(self.renewal.rest)
        self.images.again_asked.connect(self.renewal.these)
        self.images.stop_asked.connect(self.renewal.stop)
        self.training = self._dock(FineTunePanel(session, window))
        window.tabifyDockWidget(self.images, self.training)  # one above the other, neither has the height it needs
        self._wait = MaskWait(session, window)
        self.training.better_model.connect(self.renewal.better_model)
        self.training.segment_again.connect(self.renewal.all_without_annotation)
        session.training_asked.connect(self._training_asked)
        self._fill_network(find_menu(window, "Network") or fallback)
        self._fill_view(find_menu(window, "View") or fallback)
        if uses_foundation_model(session, window) and not window.seg_visible:
            window.show_hide_seg()  # RootPainter begins without it, and the first mask is what the user waits for

    @staticmethod
    def _make_room(window: Any) -> None:
        """RootPainter opens a project as small as its buttons allow, and wider with every long message."""
        screen = QtWidgets.QApplication.desktop().availableGeometry(window).size()
        window.resize(window.size().expandedTo(_ROOMY.boundedTo(screen * 0.9)))
        label = getattr(window, "messages_label", None)
        if label is not None:
            label.setWordWrap(True)
            label.setAlignment(QtCore.Qt.AlignCenter)
            label.parentWidget().layout().setAlignment(QtCore.Qt.Alignment())  # all the room there is

    def _training_asked(self, window: Any) -> None:
        # RootPainter's U-Net tells its progress by messages alone.
        newest = window_checkpoints(window)[:1]
        if window is self._window and newest and not is_unet(newest[0]):
            self.training.show()
            self.training.raise_()

    def _dock(self, dock: QtWidgets.QDockWidget) -> Any:
        window = self._window
        window.addDockWidget(QtCore.Qt.RightDockWidgetArea, dock)
        dock.hide()

        def fit(visible: bool) -> None:
            # Narrow, and the image as large as the rest allows: Qt would share the window in halves.
            if visible:
                window.resizeDocks([dock], [_DOCK_WIDTH], QtCore.Qt.Horizontal)
                QtCore.QTimer.singleShot(0, dock.raise_)  # once Qt knows it among its tabs
            QtCore.QTimer.singleShot(0, window.graphics_view.fit_to_view)

        dock.toggleViewAction().toggled.connect(fit)
        return dock

    def _fill_network(self, menu: QtWidgets.QMenu) -> None:
        menu.addSeparator()
        self._add(menu, "Segment this image again", self.renewal.this, "R", "A new mask for this image")
        text, tip = "Segment images without annotation again", "New masks by the model chosen in Models"
        self._add(menu, text, self.renewal.all_without_annotation, "", tip)
        self._add(menu, "Stop segmenting images", self.renewal.stop, "", "No further masks of those asked for at once")
        panel = self.training.toggleViewAction()
        panel.setText("Training progress")
        menu.addAction(panel)

    def _fill_view(self, menu: QtWidgets.QMenu) -> None:
        menu.addSeparator()
        self._add(menu, "Toggle uncertainty", self.view.uncertainty.click, "V", "Orange where the model is unsure")
        menu.addAction(self.images.toggleViewAction())

    def _add(self, menu: QtWidgets.QMenu, text: str, act: Callable[[], Any], key: str, tip: str) -> None:
        action = QtWidgets.QAction(text, self._window)
        if key:
            action.setShortcut(key)
        action.setStatusTip(tip)
        action.triggered.connect(lambda: act())
        menu.addAction(action)
