import dataclasses
import json

import pytest

from rootpainter_rootfm.errors import SettingsError
from rootpainter_rootfm.segment.settings import SegmentSettings


def test_the_defaults_survive_json():
    settings = SegmentSettings()
    assert SegmentSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_every_setting_survives_json():
    settings = SegmentSettings("cuda:1", 448, 0.25, 4, "fp16", 0.4, 30, True, False, False, False, False, 2.0, "mean")
    assert all(getattr(settings, field.name) != field.default for field in dataclasses.fields(SegmentSettings)), (
        "a setting at its default would not show whether it is kept"
    )
    assert SegmentSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "device": ["gpu", "cuda:", "cuda:x", "", None, 0],
        "tile": [0, 31, 33, 100, 4128, 64.0, "64", True, -32],
        "overlap": [-0.1, 0.51, "0.1", None, float("nan")],
        "batch": [0, -1, 1.5, True],
        "precision": ["half", None, "FP32"],
        "threshold": [0, 1, 1.5, -1, "0.5", float("nan")],
        "min_root_pixels": [-1, 1.5, None],
        "flips": [1, "yes", None],
        "edges": [0, "no", None],
        "balance": [0, "no", None],
        "glance": [0, "no", None],
        "second_look": [0, "no", None],
        "scale": [0, 0.1, 5, float("inf"), None],
        "padding": ["white", "", 0],
    }.items(),
)
def test_a_value_outside_its_range_is_refused_by_name(name, values):
    for value in values:
        with pytest.raises(SettingsError, match=f"setting {name} is"):
            SegmentSettings(**{name: value})


def test_unknown_names_are_refused_by_name():
    with pytest.raises(SettingsError, match="Unknown settings: colour, tiles"):
        SegmentSettings.from_dict({"tiles": 3, "colour": "red", "tile": 64})


def test_settings_cannot_be_changed_later():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SegmentSettings().tile = 64
