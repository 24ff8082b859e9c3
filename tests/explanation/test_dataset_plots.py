from __future__ import annotations

from resight.explanation.dataset_plots import plot_dataset


def test_four_panels_have_labelled_axes() -> None:
    part = {"train": [3, 9, 40], "test": [5, 300]}
    cameras = {"train": {1: 2, 2: 1}, "test": {1: 1, 3: 1}}
    figure = plot_dataset(part, cameras, {"train": {1: 2}, "test": {2: 1}}, {"train": [1, 2], "test": [30]}, "mars:x")
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == ["frames per tracklet", "camera", "cameras per person", "tracklets per person"]
    assert sum(bar.get_extents().height > 0 for bar in figure.axes[1].patches) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "test"]


def test_a_data_set_without_roles_needs_no_legend() -> None:
    figure = plot_dataset({"all": [5, 5]}, {"all": {1: 2}}, {"all": {}}, {"all": []}, "folder:x")
    assert figure.legends == []
