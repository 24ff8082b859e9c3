from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from resight.errors import DatasetError
from resight.ingest.detect import open_detector
from resight.ingest.onnx_detector import OnnxDescription, prepare_image, read_candidates, read_description

FloatArray32 = NDArray[np.float32]
SCALE = (0.5, 0.25)
"""Scale of an image of 64 × 64 pixels stretched to an input of height 16 and width 32."""
ONE = np.array([[8.0, 4.0, 8.0, 4.0]])
"""Centre (8, 4) and size 8 × 4 in the input: left 8, top 8, width 16 and height 16 in the image."""


@pytest.mark.parametrize(
    ("box", "form", "unit"),
    [
        ([8, 4, 8, 4], "centre", "pixels"),
        ([4, 2, 12, 6], "corners", "pixels"),
        ([4, 2, 8, 4], "corner", "pixels"),
        ([8 / 32, 4 / 16, 8 / 32, 4 / 16], "centre", "share"),
        ([4 / 32, 2 / 16, 12 / 32, 6 / 16], "corners", "share"),
    ],
)
def test_all_box_formats_give_the_same_box(box: list[float], form: str, unit: str) -> None:
    description = OnnxDescription((16, 32), "out", form=form, unit=unit, score_column=4)
    boxes, scores = read_candidates({"out": np.array([[[*box, 0.75]]])}, SCALE, description)
    np.testing.assert_allclose(boxes, [[8, 8, 16, 16]])
    np.testing.assert_allclose(scores, [0.75])


def test_common_output_formats_are_read() -> None:
    far = np.array([[24.0, 12.0, 8.0, 4.0]])
    table = np.concatenate([np.concatenate([ONE, far]), [[0.9, 0.5, 0.2], [0.8, 0.1, 0.7]]], axis=1)
    objectness = OnnxDescription((16, 32), "out", objectness_column=4, score_column=5, person=1)
    boxes, scores = read_candidates({"out": table[None]}, SCALE, objectness)
    np.testing.assert_allclose(scores, [0.8 * 0.7, 0.9 * 0.2])
    np.testing.assert_allclose(boxes[1], [8, 8, 16, 16])

    columns = OnnxDescription((16, 32), "out", transposed=True, person=1)
    np.testing.assert_allclose(read_candidates({"out": table.T[None]}, SCALE, columns)[1], [0.5, 0.1])

    apart = OnnxDescription((16, 32), "boxes", scores="logits", score_column=0, sigmoid=True, person=1)
    outputs = {"boxes": table[None, :, :4], "logits": np.array([[[9.0, 0.0], [9.0, -9.0]]])}
    np.testing.assert_allclose(read_candidates(outputs, SCALE, apart)[1], [0.5])

    shapes: list[tuple[int, ...]] = [(2,), (1, 2), (1, 2, 1)]
    for shape in shapes:
        labelled = OnnxDescription((16, 32), "boxes", scores="scores", labels="labels", person=1)
        outputs = {
            "boxes": table[None, :, :4],
            "scores": np.array([0.9, 0.6]).reshape(shape),
            "labels": np.array([[0, 1]]),
        }
        boxes, scores = read_candidates(outputs, SCALE, labelled)
        np.testing.assert_allclose(scores, [0.6])
        np.testing.assert_allclose(boxes, [[40, 40, 16, 16]])


def test_overlapping_low_scoring_and_invalid_candidates_are_dropped() -> None:
    rows = [[8, 4, 8, 4, 0.9], [8.2, 4, 8, 4, 0.8], [24, 12, 8, 4, 0.05], [24, 12, -8, 4, 0.9], [np.nan, 12, 8, 4, 0.9]]
    boxes, _ = read_candidates({"out": np.array([rows])}, SCALE, OnnxDescription((16, 32), "out"))
    assert len(boxes) == 1
    empty = read_candidates({"out": np.zeros((1, 0, 5))}, SCALE, OnnxDescription((16, 32), "out"))
    assert empty[0].shape == (0, 4)


def test_an_image_is_resized_reordered_and_normalised() -> None:
    image = np.zeros((20, 10, 3), np.uint8)
    image[..., 0] = 200
    fitted, scale = prepare_image(image, OnnxDescription((40, 40), "out", fill=51, std=(100, 100, 100)))
    assert fitted.shape == (1, 3, 40, 40) and fitted.dtype.name == "float32"
    np.testing.assert_allclose(scale, (2, 2))
    np.testing.assert_allclose(fitted[0, :, 5, 5], [2, 0, 0])
    np.testing.assert_allclose(fitted[0, :, 5, 30], [0.51, 0.51, 0.51], rtol=1e-6)
    stretched = OnnxDescription((40, 40), "out", keep_aspect=False, channels="bgr", layout="nhwc", mean=(1, 2, 100))
    values, scale = prepare_image(image, stretched)
    assert values.shape == (1, 40, 40, 3)
    np.testing.assert_allclose(scale, (4, 2))
    np.testing.assert_allclose(values[0, 30, 30], np.array([-1, -2, 100]) / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size = [8, 8]", "has no boxes"),
        ("size = [8]\nboxes = 'out'", "expected size to be"),
        ("size = [8, 8]\nboxes = 'out'\nform = 'circle'", "expected form to be centre or corners or corner"),
        ("size = [8, 8]\nboxes = 'out'\nsigmoid = 1", "expected sigmoid to be bool"),
        ("size = [8, 8]\nboxes = 'out'\ncolour = 1", "unknown key 'colour'; known keys: size, boxes"),
        ("size = ", "is not TOML"),
    ],
)
def test_an_invalid_description_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "people.toml").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_description(tmp_path / "people.toml")


def test_a_detector_runs_from_its_file(tmp_path: Path) -> None:
    pytest.importorskip(
        "onnxruntime", exc_type=ImportError, reason="onnxruntime is not installed: pip install 'resight[detect]'"
    )
    with pytest.raises(DatasetError, match="there is no detector"):
        open_detector(str(tmp_path / "people.onnx"))
    (tmp_path / "people.onnx").write_bytes(constant_model(np.array([[[4, 4, 4, 4, 0.75]]], np.float32), (8, 16)))
    with pytest.raises(DatasetError, match="needs its description next to it"):
        open_detector(str(tmp_path / "people.onnx"))
    (tmp_path / "people.toml").write_text("size = [8, 16]\nboxes = 'other'")
    with pytest.raises(DatasetError, match=r"names an output 'other', but the outputs of people.onnx are boxes"):
        open_detector(str(tmp_path / "people.onnx"))
    (tmp_path / "people.toml").write_text("size = [8, 16]\nboxes = 'boxes'\nscore_column = 4\nkeep_aspect = false")
    detector = open_detector(str(tmp_path / "people.onnx"))
    boxes, scores = detector.detect(np.zeros((80, 160, 3), np.uint8))
    np.testing.assert_allclose(boxes, [[20, 20, 40, 40]])
    np.testing.assert_allclose(scores, [0.75])
    (tmp_path / "people.toml").write_text("size = [8, 16]\nboxes = 'boxes'\nperson = 7")
    mismatched = open_detector(str(tmp_path / "people.onnx"))
    assert mismatched.identity != detector.identity
    with pytest.raises(DatasetError, match="do not match its description"):
        mismatched.detect(np.zeros((80, 160, 3), np.uint8))


def constant_model(answer: FloatArray32, size: tuple[int, int]) -> bytes:
    """Return an ONNX file whose output ``boxes`` is `answer` for any input. The protobuf is encoded by hand."""

    def number(key: int, value: int) -> bytes:
        return varint(key << 3) + varint(value)

    def block(key: int, content: bytes | str) -> bytes:
        content = content.encode() if isinstance(content, str) else content
        return varint(key << 3 | 2) + varint(len(content)) + content

    def varint(value: int) -> bytes:
        return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)

    def tensor(name: str, values: FloatArray32) -> bytes:
        dims = b"".join(number(1, n) for n in values.shape)
        return dims + number(2, 1) + block(8, name) + block(9, struct.pack(f"<{values.size}f", *values.ravel()))

    def value_info(name: str, shape: tuple[int, ...]) -> bytes:
        dims = b"".join(block(1, number(1, n)) for n in shape)
        return block(1, name) + block(2, block(1, number(1, 1) + block(2, dims)))

    def node(operator: str, inputs: tuple[str, ...], output: str) -> bytes:
        return b"".join(block(1, name) for name in inputs) + block(2, output) + block(4, operator)

    graph = (
        block(1, node("Mul", ("images", "zero"), "nothing"))
        + block(1, node("ReduceSum", ("nothing",), "sum"))
        + block(1, node("Reshape", ("sum", "shape"), "row"))
        + block(1, node("Add", ("answer", "row"), "boxes"))
        + block(2, "constant")
        + block(5, tensor("zero", np.zeros(1, np.float32)))
        + block(5, tensor("answer", answer))
        + block(5, number(1, 1) + number(2, 7) + block(8, "shape") + block(9, struct.pack("<q", 1)))
        + block(11, value_info("images", (1, 3, *size)))
        + block(12, value_info("boxes", answer.shape))
    )
    return number(1, 8) + block(7, graph) + block(8, number(2, 13))
