from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from resight.errors import OutputError, RecipeError
from resight.explanation.evidence import MatchEvidence
from resight.explanation.plots import (
    COLOURS,
    picture,
    plot_camera_pairs,
    plot_clip_pairs,
    plot_cmc,
    plot_importance,
    plot_open_set,
    save_figure,
)


def written(figure: Figure) -> str:
    texts = [t.get_text() for axes in figure.axes for t in axes.texts]
    return "\n".join([figure.get_suptitle(), figure.get_supxlabel(), *texts])


def outlines(figure: Figure) -> list[str]:
    return [to_hex(axes.spines["left"].get_edgecolor()) for axes in figure.axes]


def test_cmc_draws_one_line_per_method() -> None:
    figure = plot_cmc({"mean": np.array([0.5, 0.7]), "a $ sign": [0.6, 0.8, 0.9]}, "protocol mars, 9 queries")
    (axes,) = figure.axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.5, 0.7], [0.6, 0.8, 0.9]]  # type: ignore[union-attr]
    legend = axes.get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == ["mean (rank-1 50.0%)", "a $ sign (rank-1 60.0%)"]
    assert "protocol mars" in written(figure)


def test_the_open_set_is_drawn_over_false_alarms() -> None:
    curves = {"mean": ([0.0, 0.5, 1.0], [0.5, 0.5, 0.6])}
    figure = plot_open_set(curves, "open set; protocol mars", (0.5, 0.4))
    (axes,) = figure.axes
    curve, mark = axes.lines
    assert (curve.get_xdata().tolist(), curve.get_ydata().tolist()) == ([0.25, 0.5, 1.0], [0.5, 0.5, 0.6])  # type: ignore[union-attr]
    assert (mark.get_xdata(), mark.get_ydata()) == ([0.5], [0.4])
    assert "open set; protocol mars" in written(figure)
    figure.canvas.draw()


def test_camera_pairs_are_cells_with_numbers() -> None:
    shares = np.array([[np.nan, 1.0], [0.25, np.nan]])
    figure = plot_camera_pairs((1, 4), shares, np.array([[0, 3], [8, 0]]), "rank-1", "protocol mars")
    figure.canvas.draw()
    assert [t.get_text() for t in figure.axes[0].texts] == ["100.0\n3", "25.0\n8"]
    assert "protocol mars" in written(figure)


def test_each_matrix_of_importance_has_four_panels(evidence: MatchEvidence) -> None:
    figure = plot_importance(evidence)
    assert len(figure.axes) == 12
    drawn = [axes.images[0].get_array() for axes in figure.axes if len(axes.images) == 1]
    shown = [np.asarray(a) for a in drawn if a is not None and np.asarray(a).ndim == 2]
    for values in (evidence.scored.importance, evidence.scored.cosine, evidence.scored.contribution):
        assert any(a.shape == values.shape and np.allclose(a, values) for a in shown)


def test_clip_pairs_are_drawn_side_by_side(evidence: MatchEvidence) -> None:
    figure = plot_clip_pairs(evidence, k=2)
    assert outlines(figure) == [COLOURS["query"], COLOURS["gallery"]] * 4
    words = written(figure)
    assert f"similarity {evidence.scored.score:.2f}" in words
    assert "importance 4.00\ncosine 0.90" in words
    assert "importance 0.01\ncosine 0.95" in words
    assert words.index("highest: clips 1 and 1") < words.index("lowest: clips 2 and 1")


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_figures_are_written_in_one_step(suffix: str, tmp_path: Path, evidence: MatchEvidence) -> None:
    path = tmp_path / "new" / f"figure.{suffix}"
    save_figure(plot_clip_pairs(evidence, k=1), path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if suffix == "png":
        with Image.open(path) as image:
            assert image.width > 400
    else:
        assert "<svg" in path.read_text()


def test_a_failed_figure_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    figure = Figure()
    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OutputError, match="disk full"):
        save_figure(figure, path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"]


def test_unknown_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"expected a name that ends in \.png"):
        save_figure(Figure(), tmp_path / "figure.bmp")


def test_a_figure_becomes_part_of_a_page() -> None:
    part = picture(Figure(figsize=(1, 1)), "Title", "an empty figure")
    assert part.uri.startswith("data:image/png;base64,")
