"""The errors that the package raises; a message says what happened, to which file, and what to do next."""


class RootFMError(Exception):
    """Base of every error that this package raises on purpose."""


class WeightsError(RootFMError):
    """A weights file cannot be read, or is not a Root Foundation Model."""


class ModelError(RootFMError):
    """A model is unknown to the library, or its file there is missing or damaged."""


class ImageError(RootFMError):
    """An image cannot be read."""


class MaskError(RootFMError):
    """A mask or annotation cannot be read or written."""


class SettingsError(RootFMError):
    """A setting lies outside its range."""


class DataError(RootFMError):
    """A dataset for training or evaluation is incomplete or inconsistent."""


class HostError(RootFMError):
    """RootPainter is missing, or not as this plugin expects it."""


class Cancelled(RootFMError):
    """The user stopped the work; nothing half-made was left behind."""
