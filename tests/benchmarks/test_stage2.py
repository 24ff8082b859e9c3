import json

import pytest

from benchmarks import stage2


def test_gradients_agree() -> None:
    assert stage2.gradient_difference() < 1e-10


@pytest.mark.parametrize("way", stage2.WAYS)
def test_each_implementation_is_measured(
    way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage2, "PAPER", (8, 8))
    monkeypatch.setattr("benchmarks.timing.MATRIX", 64)
    stage2.measure(way)
    found = json.loads(capsys.readouterr().out)
    assert found["seconds"] > 0 and found["megabytes"] >= 0
    assert (found["share"] > 0) == stage2.WAYS[way][1]
