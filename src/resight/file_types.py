"""What a file is, by its first bytes, for messages about files of another kind."""

from __future__ import annotations

from pathlib import Path

_BEGINNINGS = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: run git lfs pull"),
    (b"<!doctype html", "a web page: download the file itself"),
    (b"<html", "a web page: download the file itself"),
    (b"<?xml", "an XML document"),
    (b"PK\x03\x04", "a ZIP archive, as torch.save writes it"),
    (b"\x89HDF", "HDF5, as Keras and MATLAB write it"),
    (b"\x1f\x8b", "compressed with gzip: unpack it"),
    (b"\xfd7zXZ", "compressed with xz: unpack it"),
    (b"\x80\x02", "a Python pickle, as old versions of torch.save write it"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"%PDF", "a PDF document"),
)
_SUFFIXES = {
    ".onnx": "an ONNX network", ".tflite": "a TensorFlow Lite network", ".pb": "a TensorFlow network",
    ".engine": "a TensorRT engine", ".trt": "a TensorRT engine", ".caffemodel": "a Caffe network",
    ".h5": "HDF5, as Keras writes it", ".ckpt": "a checkpoint of a training framework",
}  # fmt: skip


def file_type(path: Path) -> str:
    """Return what a file seems to be, such as ``a ZIP archive, as torch.save writes it``; empty if it is not known.

    Args:
        path: Any path.
    """
    if path.is_dir():
        return "a folder"
    if not path.exists():
        return "missing"
    if not path.is_file():
        return "not a regular file"
    try:
        with path.open("rb") as file:
            beginning = file.read(512)
    except OSError as error:
        return f"not readable ({error.strerror})"
    if not beginning:
        return "an empty file"
    if len(beginning) > 9 and beginning[8:9] == b"{" and int.from_bytes(beginning[:8], "little") < 1 << 30:
        return "a safetensors file"
    lowered = beginning.lstrip().lower()
    for start, meaning in _BEGINNINGS:
        if beginning.startswith(start) or lowered.startswith(start):
            return meaning
    return _SUFFIXES.get(path.suffix.lower(), "")
