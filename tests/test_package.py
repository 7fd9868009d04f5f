import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from rootpainter_rootfm.cli.main import VERBS

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "PyQt5", "skimage", "scipy"}


def python(code, **options):
    """Runs code in a fresh interpreter and gives what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_neither_torch_nor_qt():
    loaded = python("import sys, rootpainter_rootfm; print(*{name.split('.')[0] for name in sys.modules})")
    assert not HEAVY & set(loaded.split())


@pytest.mark.parametrize("verb", [None, *(module.__name__.rpartition(".")[2] for module in VERBS)])
def test_help_is_there_at_once(verb):
    arguments = ["--help"] if verb is None else [verb, "--help"]
    code = f"""
import json, sys, time
from rootpainter_rootfm.cli.main import main
try:
    main({arguments!r})
except SystemExit as stopped:
    print(json.dumps([stopped.code, time.process_time(), sorted({{n.split('.')[0] for n in sys.modules}})]))
"""
    text, _, last = python(code).rstrip().rpartition("\n")
    status, seconds, loaded = json.loads(last)
    assert status == 0 and text.startswith("usage: rootfm")
    assert not HEAVY & set(loaded)
    assert seconds < 1, "CPU seconds, from the start of the interpreter"


def test_the_public_names_are_there():
    python("import rootpainter_rootfm as r; assert r.Segmenter.load and r.SegmentSettings() and r.load_model")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the wheel was unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("rootpainter_rootfm", "weights"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, folder / "source"], check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_a_wheel_holds_all_modules_and_nothing_else(installed):
    modules = {path.relative_to(ROOT) for path in (ROOT / "rootpainter_rootfm").rglob("*.py")}
    there = {path.relative_to(installed) for path in (installed / "rootpainter_rootfm").rglob("*.py")}
    assert there - {Path("rootpainter_rootfm/weights/__init__.py")} == modules
    assert {path.name.split("-")[0] for path in installed.iterdir()} == {"rootpainter_rootfm"}


def test_a_wheel_carries_the_bundled_weights_and_works_outside_the_checkout(installed, tmp_path):
    for path in (ROOT / "weights").iterdir():
        if path.suffix in (".safetensors", ".json"):
            assert (installed / "rootpainter_rootfm" / "weights" / path.name).read_bytes() == path.read_bytes()
    environment = os.environ | {"PYTHONPATH": str(installed), "ROOTFM_HOME": str(tmp_path / "home")}
    code = """
import numpy, rootpainter_rootfm
found = rootpainter_rootfm.Segmenter.load("rootfm").segment(numpy.zeros((32, 32, 3), "uint8"))
print(rootpainter_rootfm.__file__, found.mask.shape)
"""
    said = python(code, env=environment, cwd=tmp_path)
    assert said.startswith(str(installed)) and "(32, 32)" in said


def test_the_commands_exist():
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    for module, function in re.findall(r"= (rootpainter_rootfm[\w.]+):(\w+)", text):
        if ".painter." not in module:
            python(f"from {module} import {function}; assert callable({function})")


def test_readme_and_metadata_name_the_pythons_that_pip_lets_in():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    admitted = SpecifierSet(settings["options"]["python_requires"])
    versions = [f"3.{minor}" for minor in range(30) if f"3.{minor}" in admitted]
    assert re.findall(r"Python :: (3\.\d+)", settings["metadata"]["classifiers"]) == versions
    needed = re.search(r"You need Python (.+?) and", (ROOT / "README.md").read_text(encoding="utf-8"))[1]
    assert re.findall(r"3\.\d+", needed) == versions


def test_ci_runs_the_test_command_of_the_readme():
    commands = re.findall(r"```bash\n(.*?)\n```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    tests = [command for command in commands if "pytest" in command]
    assert len(tests) == 1 and "\n" not in tests[0]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.rstrip().splitlines()[-1] == tests[0]
    assert os.name == "nt" or os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_readme_tells_of_files_that_exist():
    for name in ("README.md", "docs/usage.md", "docs/architecture.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert ((ROOT / name).parent / link).exists(), f"{name} links to {link}"
