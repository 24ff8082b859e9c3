"""Rules for imports between layers, modules that must not import heavy packages, and the lists in ARCHITECTURE.md."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from resight.data.clips import sample_clips
from resight.data.frames import load_clips
from resight.data.readers.folder import read_folder
from resight.data.transforms import prepare_clips
from resight.evaluation.metrics import Scores, score_ranking
from resight.evaluation.protocols import PROTOCOLS
from resight.features.extract import extract_clip_features
from resight.features.types import ClipFeatures
from resight.models.aggregators import MeanPair
from resight.models.i3d import I3D
from resight.ranking import Ranking
from resight.recipe import ClipSpec
from resight.scoring.all_pairs import score_all_pairs
from resight.tracklet import Dataset

ROOT = Path(__file__).parents[1]
FOLDERS = {"resight": ROOT / "src" / "resight", "experiments": ROOT / "experiments", "benchmarks": ROOT / "benchmarks"}
LONGEST = 400
VAGUE = {"utils", "util", "common", "helpers", "helper", "misc"}

LAYERS = {
    "resight.errors": 0,
    "resight.file_types": 0,
    "resight.version": 0,
    "resight.words": 0,
    "resight.compute": 0,
    "resight.outputs": 0,
    "resight.tracklet": 0,
    "resight.ranking": 0,
    "resight.recipe": 0,
    "resight.recipes": 0,
    "resight.settings": 0,
    "resight.packs": 0,
    "resight.cluster": 0,
    "resight.processes": 0,
    "resight.progress": 0,
    "resight.tables": 0,
    "resight.data": 1,
    "resight.models": 1,
    "resight.losses": 1,
    "resight.clip_losses": 1,
    "resight.synthetic": 1,
    "resight.tensor_files": 1,
    "resight.checkpoints": 2,
    "resight.features": 2,
    "resight.shipped": 2,
    "resight.scoring": 3,
    "resight.ingest": 3,
    "resight.evaluation": 4,
    "resight.explanation": 4,
    "resight.doctor": 5,
    "resight.gallery": 5,
    "resight.training": 5,
    "resight.adaptation": 6,
    "resight.api": 7,
    "resight.service": 8,
    "resight.studies": 8,
    "resight.cli": 9,
    "resight": 10,  # the package itself: the lazy public API
    "resight.__main__": 10,
    "experiments": 11,
    "benchmarks": 11,
}
"""Layer of each module, or of each package with all of its modules."""


@cache
def modules() -> dict[str, Path]:
    """Return the file of every module to which the rules apply, by dotted name."""
    found = {}
    for name, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = (name, *path.relative_to(folder).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """Return our own modules that a module imports, anywhere in its file, including imports for type checkers only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports by a relative name; write the absolute name"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules() else str(node.module) for name in inside}
    return frozenset(found & modules().keys())


def home(module: str) -> str:
    """Return the key of `LAYERS` that covers a module."""
    parts = module.split(".")
    if module == "resight":
        return module
    names = [".".join(parts[: i + 1]) for i in range(len(parts))]
    own = [name for name in names if name in LAYERS and name != "resight"]
    assert len(own) == 1, f"{module} is covered by {own}, expected one key: add it, or its package, to LAYERS"
    return own[0]


def cycle(edges: dict[str, set[str]]) -> list[str]:
    """Return a cycle of a graph, or an empty list."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for target in sorted(edges.get(node, ())):
            if found := visit(target, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(edges) if (found := visit(node, []))), [])


def wrong_import(module: str, imported: str) -> bool:
    mine, other = home(module), home(imported)
    if mine == other or LAYERS[other] < LAYERS[mine]:
        return False
    # Modules directly in resight/ share a folder, but not necessarily a layer.
    alone = all(modules()[name].parent == FOLDERS["resight"] for name in (module, imported))
    return not (alone and LAYERS[other] == LAYERS[mine])


def test_every_module_has_a_layer_and_every_key_a_module() -> None:
    expected = {name for name in LAYERS if name not in FOLDERS or any(FOLDERS[name].rglob("*.py"))}
    assert {home(module) for module in modules()} == expected


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_lower_layers_or_its_own_folder(module: str) -> None:
    wrong = sorted(name for name in imports(module) if wrong_import(module, name))
    assert not wrong, f"{module} (layer {LAYERS[home(module)]}) imports {wrong}"


def test_a_wrong_import_is_detected() -> None:
    assert wrong_import("resight.models.i3d", "resight.data.clips")
    assert wrong_import("resight.errors", "resight.cli")
    assert not wrong_import("resight.ranking", "resight.errors")
    assert "resight.data.readers" in imports("resight.api.sources")
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_no_cycle_between_modules() -> None:
    assert cycle({module: set(imports(module)) for module in modules()}) == []


def test_no_cycle_between_packages() -> None:
    def package(module: str) -> str:
        folder = modules()[module].parent
        return module if folder == FOLDERS["resight"] else str(folder.relative_to(ROOT))

    edges: dict[str, set[str]] = {}
    for module in modules():
        edges.setdefault(package(module), set()).update({package(name) for name in imports(module)} - {package(module)})
    assert cycle(edges) == []


@pytest.mark.parametrize(
    "module", [name for name in modules() if name.startswith("resight.models")] + ["resight.losses"]
)
def test_models_and_losses_do_not_import_data(module: str) -> None:
    assert not {name for name in imports(module) if name.startswith("resight.data")}


@pytest.mark.parametrize("module", modules())
def test_names_are_specific_and_files_are_short(module: str) -> None:
    assert not VAGUE & set(module.split("."))
    lines = modules()[module].read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST, f"{modules()[module]} has {lines} lines"


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("resight", ["torch", "numpy", "cyclopts", "rich"]),
        ("resight.cli", ["torch", "numpy", "scipy", "matplotlib", "PIL", "lightning_fabric"]),
        ("resight.recipe", ["torch", "numpy"]),
        ("resight.shipped", ["torch", "numpy"]),
        ("resight.tracklet", ["torch", "numpy"]),
    ],
)
def test_importing_is_cheap(module: str, heavy: list[str]) -> None:
    program = f"import sys, {module}; print(*sorted(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(heavy) & set(answer.stdout.split())


def layers_of_the_documentation() -> Iterator[tuple[int, str]]:
    """Yield (layer, file below src/resight) for every line of the lists in ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for layer, tree in re.findall(r"^### Layer (\d+):.*?\n```\n(.*?)```", text, re.MULTILINE | re.DOTALL):
        for line in tree.splitlines():
            yield int(layer), line.split()[0]


def test_architecture_lists_every_module_in_its_layer() -> None:
    listed = list(layers_of_the_documentation())
    expected = {
        (LAYERS[home(module)], str(path.relative_to(FOLDERS["resight"])))
        for module, path in modules().items()
        if module.startswith("resight") and (path.name != "__init__.py" or len(path.read_text().splitlines()) > 3)
    }
    assert len(listed) == len(set(listed)), "a module is listed twice"
    assert set(listed) == expected


def test_files_that_architecture_names_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for path in re.findall(r"`([\w/.-]+/[\w.-]+|[\w-]+\.(?:py|md|toml))`", text):
        assert (ROOT / path).exists() or (FOLDERS["resight"] / path).exists(), f"there is no {path}"


def test_the_eight_calls_of_architecture_work(make_tracklets: Callable[..., Any], tmp_path: Path) -> None:
    make_tracklets(persons=3)
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    program = re.search(r"^```python\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    assert program is not None
    calls: list[Callable[..., Any]] = [
        read_folder, sample_clips, load_clips, prepare_clips, extract_clip_features, score_all_pairs,
        Ranking.from_scores, score_ranking,
    ]  # fmt: skip
    named = re.findall(r"= ([\w.]+)\(", program[1])
    assert named == [call.__qualname__ for call in calls]

    values: dict[str, Any] = {
        "root": tmp_path / "tracklets",
        "spec": ClipSpec(length=4, count=2, height=32, width=16),
        "encoder": I3D(width=0.125).eval(),
        "aggregator": MeanPair(),
        "protocol": PROTOCOLS["standard"],
        "torch": torch,
        **{call.__name__: call for call in calls},
        "Ranking": Ranking,
    }
    exec(program[1], values)
    assert isinstance(values["dataset"], Dataset)
    assert values["numbers"].shape == (2, 4)
    assert values["pixels"].shape == (2, 4, 32, 16, 3)
    assert values["clips"].shape == (2, 3, 4, 32, 16)
    assert isinstance(values["query"], ClipFeatures)
    assert values["similarity"].shape == (6, 6)
    assert values["ranking"].order.shape == (6, 6)
    assert isinstance(values["scores"], Scores)
    assert values["scores"].valid_queries == 6
