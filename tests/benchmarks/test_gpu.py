import json
from pathlib import Path

import pytest
import torch
from benchmarks.gpu_sizes import TINY, Sizes
from benchmarks.timing import Row

from benchmarks import gpu, page

HALF = "stage 2, half precision"


def test_everything_runs_without_a_gpu_and_can_be_put_on_the_page(tmp_path: Path) -> None:
    out = tmp_path / "results" / "gpu.json"
    gpu.benchmarks(out=out, device="cpu", tiny=True)
    results = json.loads(out.read_text())
    rows = [Row(**row) for row in results["rows"]]
    assert {row.group for row in rows} == {"all pairs", "encoder", "training step"}
    assert len(rows) == 1 + 3 + 2 + 4 + 4
    assert all(row.ours > 0 for row in rows)
    text = page.page(results, results, "")
    assert "On a GPU" in text and "all of MARS exactly" in text and "1,200 x 78 steps" in text


def test_stage_2_runs_in_bfloat16() -> None:
    assert len(gpu.PARTS[HALF](TINY, torch.device("cpu"))) == 2


def test_other_parts_are_measured_if_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(sizes: Sizes, device: torch.device) -> list[Row]:
        raise RuntimeError("some failure")

    works = Row("encoder", "inference", "clips/s", None, 1.0, None)
    monkeypatch.setattr(gpu, "PARTS", {"first": fail, "second": lambda sizes, device: [works]})
    with pytest.raises(SystemExit, match="first"):
        gpu.benchmarks(out=tmp_path / "gpu.json", device="cpu", tiny=True)
    assert json.loads((tmp_path / "gpu.json").read_text())["rows"] == [works.to_json()]


def test_reports_that_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="--tiny --device cpu"):
        gpu.benchmarks(out=tmp_path / "gpu.json")
