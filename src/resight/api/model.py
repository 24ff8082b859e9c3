"""The public model: clip features, similarities and explanations from one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resight.api.networks import is_network, open_network, pixel_format, wrap_function
from resight.api.sources import ArrayTracklet, as_tracklets
from resight.checkpoints import Checkpoint, load_checkpoint
from resight.compute import Compute, Precision
from resight.data.clips import sample_clips, tracklet_rng
from resight.data.transforms import resize_frames
from resight.errors import CheckpointError, RecipeError, ShapeError
from resight.evaluation.threshold import Threshold
from resight.features.damaged import extract_damaged_features
from resight.features.extract import encode_clips, encode_frames, extract_clip_features
from resight.features.keys import encoder_identity, has_key
from resight.features.store import FeatureStore
from resight.features.types import ClipFeatures, comparable_values
from resight.features.view import View
from resight.models.encoders import inference_copy, is_frame_wise
from resight.models.python_encoder import Function
from resight.progress import note, progress_bar
from resight.recipe import Recipe
from resight.scoring.all_pairs import score_all_pairs
from resight.scoring.one_pair import PairScore, score_one_pair
from resight.settings import whole_number
from resight.shipped import DEFAULT, shipped_card, weights_of
from resight.tracklet import Tracklet

Features = NDArray[np.floating] | ClipFeatures


class Model:
    """A trained model: a clip encoder and an aggregator that compares clip features.

    Load one with `load_model`, or make one from a network of your own with `Model.from_encoder`.

    Attributes:
        name: Name of a model that comes with the package, or path of the model file.
        checkpoint: Encoder, aggregator and recipe.
        compute: Device and precision.
        store: Where features of tracklets on disk are kept; None keeps none.
        shipped: Whether the model comes with the package, so that it has a full model card.
        workers: Processes that decode frames; 0 decodes in this process.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        name: str = "model",
        compute: Compute = Compute(),
        store: FeatureStore | None = None,
        workers: int = 0,
        shipped: bool = False,
    ) -> None:
        self.name = name
        self.shipped = shipped
        self.checkpoint = checkpoint
        self.compute = compute
        self.store = store
        self.workers = workers
        self._noted = False
        checkpoint.encoder.to(compute.torch_device)
        checkpoint.aggregator.to(compute.torch_device)

    @classmethod
    def from_encoder(
        cls,
        encoder: Function,
        *,
        size: tuple[int, int],
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        preset: str | None = None,
        channels: str = "rgb",
        value_range: float = 1.0,
        clip_length: int | None = None,
        name: str | None = None,
        device: str = "auto",
        keep_features: bool = True,
        workers: int = 0,
    ) -> Model:
        """Return a model of a PyTorch module or a Python function; it compares tracklets by the mean of clip pairs.

        Args:
            encoder: Maps float32 frames (N, 3, H, W) to a tensor or array of features (N, D). A module is set to
                evaluation mode.
            size: Height and width of the frames that it gets.
            mean: Value subtracted from each channel, in the encoder's channel order.
            std: Value by which the difference is divided.
            preset: Name of a format with `mean`, `std`, `channels` and `value_range`, instead of these four.
            channels: Channel order, ``rgb`` or ``bgr``.
            value_range: Largest pixel value before `mean` is subtracted: 1 or 255.
            clip_length: If given, the encoder gets clips (N, 3, L, H, W) of this many frames instead.
            name: Name of the encoder. Features of a function, or of a module without weights, are kept in the feature
                store only if it has a name; choose another one when the function changes.
            device: As in `load_model`.
            keep_features: As in `load_model`.
            workers: As in `load_model`.

        Raises:
            RecipeError: If the format is incomplete or impossible, or the features of a frame depend on the other
                frames of the batch, as in training mode.
            CheckpointError: If the encoder fails, or returns something else than features.
        """
        pixels = pixel_format(size, mean, std, preset, channels, value_range, clip_length)
        compute = Compute.resolve(device)
        checkpoint = wrap_function(encoder, pixels, name, compute.torch_device)
        if keep_features and not has_key(checkpoint.encoder):
            note("features are not kept, because nothing identifies the encoder: give it a name to keep them")
        store = FeatureStore() if keep_features else None
        label = checkpoint.recipe.stage1.encoder.removeprefix("python:")
        return cls(checkpoint, name=label, compute=compute, store=store, workers=workers)

    def __repr__(self) -> str:
        clips = self.recipe.clips
        return (
            f"<resight.Model {self.name}: {clips.count} clips of {clips.length} frames, "
            f"{clips.height} x {clips.width}; {self.dim} features per clip; "
            f"{self.checkpoint.aggregator.label}; {self.compute.device}>"
        )

    @property
    def recipe(self) -> Recipe:
        """All settings that the model was trained with."""
        return self.checkpoint.recipe

    @property
    def dim(self) -> int:
        """Features per clip, D."""
        return self.checkpoint.encoder.dim

    @property
    def card(self) -> dict[str, Any]:
        """Description of the model, as plain values.

        The card in the model file (aggregator, validation scores, threshold, version), and for a model that comes with
        the package its use, limits, training data, licence and scores.
        """
        known = dict(self.checkpoint.metadata)
        return known | shipped_card(self.name).to_json() if self.shipped else known

    def threshold(self, gallery: int) -> Threshold | None:
        """Return the threshold for a gallery of that many tracklets; matches below it are not reported as such.

        Args:
            gallery: Number of gallery tracklets, 1 or more.

        Returns:
            The threshold, or None if the model was saved without one.
        """
        saved = self.checkpoint.metadata.get("threshold")
        return Threshold.from_json(saved).for_gallery(gallery) if saved else None

    def encode(self, source: Any, *, progress: bool = False) -> NDArray[np.float32]:
        """Return the clip features of one tracklet or of many.

        A tracklet is cut into M clips of L frames as in evaluation. Features of tracklets on disk are looked up in the
        feature store first; features of arrays are not kept.

        Args:
            source: One tracklet or a sequence of tracklets. A tracklet is a `Tracklet`, a folder of pictures, a list of
                picture files, or frames as uint8 RGB arrays: a list of (h, w, 3), or one (n, h, w, 3).
            progress: Whether to show a progress bar.

        Returns:
            (M, D) float32 for one tracklet, (T, M, D) for a sequence of T; not normalised.

        Raises:
            DatasetError: If a folder or picture does not exist, or there are no frames.
            FrameError: If a picture cannot be decoded.
            ShapeError: If an array is not RGB uint8.
        """
        tracklets, single = as_tracklets(source)
        files = [tracklet for tracklet in tracklets if isinstance(tracklet, Tracklet)]
        of_files = iter(self.features(files, progress=progress).values) if files else iter(())
        features = np.stack([
            self._encode_arrays(tracklet) if isinstance(tracklet, ArrayTracklet) else next(of_files)
            for tracklet in tracklets
        ])  # fmt: skip
        return features[0] if single else features

    def features(
        self,
        tracklets: Sequence[Tracklet],
        *,
        view: View | None = None,
        donors: Sequence[Tracklet] = (),
        progress: bool = False,
    ) -> ClipFeatures:
        """Return clip features with ids, persons, cameras and frame numbers, as evaluation and search use them.

        Args:
            tracklets: T tracklets.
            view: Damage or augmentation of the frames; by default none.
            donors: Tracklets whose frames damage is made of.
            progress: Whether to show a progress bar.

        Raises:
            FrameError: If a picture cannot be decoded.
        """
        self._note_cameras(tracklets)
        with progress_bar("encoding", "tracklets", progress) as report:
            features = extract_clip_features(
                self.checkpoint.encoder, tracklets, self.recipe.clips, view=view, donors=donors, store=self.store,
                workers=min(self.workers, len(tracklets)), compute=self.compute, progress=report,
            )  # fmt: skip
        return replace(features, encoder=self._identity)

    def corrupted_features(
        self, tracklets: Sequence[Tracklet], max_corrupted: int, *, progress: bool = False
    ) -> tuple[ClipFeatures, NDArray[np.bool_]]:
        """Return features in which 0 to `max_corrupted` clips of each tracklet are corrupted. Paper: Sec. 4.4.

        Args:
            tracklets: T tracklets.
            max_corrupted: M_c^max, 0 ... M.
            progress: Whether to show a progress bar.

        Returns:
            The features, and (T, M) whether each clip is corrupted.

        Raises:
            RecipeError: If `max_corrupted` is not 0 ... M.
        """
        self._check_corrupted(max_corrupted)
        self._note_cameras(tracklets)
        with progress_bar("encoding", "tracklets", progress) as report:
            features, corrupted = extract_damaged_features(
                self.checkpoint.encoder, tracklets, self.recipe.clips, max_corrupted, store=self.store,
                workers=min(self.workers, len(tracklets)), compute=self.compute, progress=report,
            )  # fmt: skip
        return replace(features, encoder=self._identity), corrupted

    def _note_cameras(self, tracklets: Sequence[Tracklet]) -> None:
        """Tell the user once which cameras an adapted model does not know, or knows by number only."""
        cameras = getattr(self.checkpoint.encoder, "cameras", ())
        if not cameras or self._noted:
            return
        unknown = sorted({t.camera_label for t in tracklets if t.camera_label not in cameras})
        if unknown:
            self._noted = True
            note(f"{self.name} has no statistics of {', '.join(unknown[:5])}, and encodes them as before adaptation")
        elif not all(tracklet.camera_name for tracklet in tracklets):
            self._noted = True
            source = self.checkpoint.metadata.get("adapted", {}).get("source")
            note(f"{self.name} knows cameras by number: they have to be those of {source}, with which it was adapted")

    def _check_corrupted(self, max_corrupted: int) -> None:
        """Check M_c^max, the largest number of corrupted clips per tracklet.

        Raises:
            RecipeError: If it is not a whole number from 0 to M.
        """
        clips = self.recipe.clips.count
        if not isinstance(max_corrupted, int) or not 0 <= max_corrupted <= clips:
            raise RecipeError(f"max_corrupted is {max_corrupted}, expected 0 to {clips}, the clips of a tracklet")

    def similarity(self, query: Features, gallery: Features) -> Any:
        """Return the similarity of two tracklets, or of all pairs of two batches; higher is better, at most 1.

        Args:
            query: (M, D) of one tracklet, (Q, M, D) of a batch, or `ClipFeatures`.
            gallery: (N, D), (G, N, D), or `ClipFeatures`.

        Returns:
            A float for two tracklets; (G,) or (Q,) float32 for a tracklet and a batch; (Q, G) for two batches.

        Raises:
            ShapeError: If the features have another shape, or come from another model.
        """
        q, g = (self._checked(features) for features in (query, gallery))
        table = score_all_pairs(
            q if q.ndim == 3 else q[None], g if g.ndim == 3 else g[None], self.checkpoint.aggregator,
            compute=self.compute,
        )  # fmt: skip
        if q.ndim == 2 and g.ndim == 2:
            return float(table[0, 0])
        return table[0] if q.ndim == 2 else table[:, 0] if g.ndim == 2 else table

    def explain(self, query: NDArray[np.floating], gallery: NDArray[np.floating]) -> PairScore:
        """Return a breakdown of one similarity: cosine, importance, weight and contribution of every clip pair.

        Args:
            query: (M, D) clip features of one tracklet.
            gallery: (N, D) clip features of the other.

        Returns:
            The breakdown. Its contributions add up to its score.

        Raises:
            ShapeError: If the features have another shape, or come from another model.
        """
        q, g = (self._checked(features) for features in (query, gallery))
        for values in (q, g):
            if values.ndim != 2:
                raise ShapeError(f"expected the features (M, D) of one tracklet, found {values.shape}")
        return score_one_pair(q, g, self.checkpoint.aggregator)

    def _checked(self, features: Features) -> NDArray[np.floating]:
        return comparable_values(features, self.dim, self._identity, self.name)

    @cached_property
    def _identity(self) -> str:
        return encoder_identity(self.checkpoint.encoder)

    def _encode_arrays(self, tracklet: ArrayTracklet) -> NDArray[np.float32]:
        spec = self.recipe.clips
        numbers = sample_clips(len(tracklet), spec, tracklet_rng("arrays", 0))
        size = spec.height, spec.width
        used = {number: resize_frames(tracklet.frames[number][None], size)[0] for number in np.unique(numbers).tolist()}
        encoder = inference_copy(self.checkpoint.encoder, self.compute.encoder_dtype)
        with torch.inference_mode():
            if is_frame_wise(self.checkpoint.encoder):
                places = torch.from_numpy(np.searchsorted(list(used), numbers))
                frames = torch.from_numpy(np.stack(list(used.values())))
                features = encode_frames(encoder, frames.to(self.compute.torch_device), places)
            else:
                pixels = np.stack([np.stack([used[number] for number in clip]) for clip in numbers.tolist()])
                features = encode_clips(encoder, torch.from_numpy(pixels)[None].to(self.compute.torch_device))[0]
        values: NDArray[np.float32] = features.cpu().numpy()
        return values


def load_model(
    model: str | Path = DEFAULT,
    *,
    preset: str | None = None,
    encoder: Function | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    keep_features: bool = True,
    workers: int = 0,
) -> Model:
    """Load a model.

    Args:
        model: Path of a model file that `train` wrote, or the name of a model that comes with the package. Or a network
            without importance, which compares tracklets by the mean of clip pairs: ``onnx:FILE`` or
            ``onnx:FILE#PRESET`` for an ONNX file, ``frames:FOLDER`` for an image network of the transformers library.
        preset: For ``onnx:FILE``, the format of its input, such as ``torchreid``. If none is named here or in `model`,
            it is read from FILE with the suffix .toml, or from the metadata of the ONNX file. docs/encoders.md lists
            the presets.
        encoder: The module or function of a model that was made with `Model.from_encoder`, which its file does not
            hold.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``float32``, or ``half`` for 16-bit matrix products: faster where the machine has them, and exact to
            about 1e-3.
        keep_features: Whether features of tracklets on disk are kept in the feature store (see ``resight cache``).
        workers: Processes that decode frames; 0 decodes in this process. With more, a script needs the usual
            ``if __name__ == "__main__":``.

    Raises:
        CheckpointError: If there is no such model, or its file is damaged.
        RecipeError: If the device or the precision is not available, a library that the encoder needs is missing, or
            the format of the input of an ONNX file is unknown.
    """
    compute = Compute.resolve(device, precision)
    if not isinstance(model, (str, Path)):
        raise CheckpointError(f"expected the name of a model or the path of its file, found {model!r}")
    name = Path(model).expanduser()
    whole_number("workers", workers, 0)
    if preset is not None and not (is_network(name) and str(model).startswith("onnx:")):
        raise RecipeError(f"preset is for ONNX files, but the model is {str(model)!r}: omit it, or use onnx:FILE")
    store = FeatureStore() if keep_features else None
    if is_network(name):
        if encoder is not None:
            raise RecipeError(f"{model} is an encoder itself: omit the argument encoder")
        return Model(open_network(model, preset), name=str(model), compute=compute, store=store, workers=workers)
    path = weights_of(name)
    checkpoint = load_checkpoint(path, encoder)
    return Model(checkpoint, name=str(model), compute=compute, store=store, workers=workers, shipped=path != name)


def as_model(model: Model | str | Path | None) -> Model:
    """Return the model itself, the one of that name or path, or the default one for None."""
    return model if isinstance(model, Model) else load_model(DEFAULT if model is None else model)
