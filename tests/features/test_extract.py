from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resight.compute import Compute
from resight.data.corruption import choose_corrupted
from resight.data.damage import DAMAGES, choose_damage
from resight.data.frames import load_clips
from resight.data.transforms import prepare_clips
from resight.errors import CheckpointError, DatasetError, FrameError, RecipeError, ShapeError
from resight.features.damaged import extract_damaged_features, mixed_damage
from resight.features.extract import distinct_frames, encode_clips, extract_clip_features
from resight.features.store import FeatureStore
from resight.features.types import PADDING, ClipFeatures
from resight.features.view import View
from resight.models.encoders import NeckedEncoder
from resight.models.frame_encoder import FrameEncoder
from resight.models.i3d import I3D
from resight.models.pixel_format import PixelFormat
from resight.models.python_encoder import PythonEncoder
from resight.recipe import ClipSpec, Damage, Stage1
from resight.tracklet import Tracklet

MakeTracklets = Callable[..., list[Tracklet]]
SPEC = ClipSpec(length=2, count=3, height=32, width=16)
OVERLAPPING = ClipSpec(length=4, count=5, height=32, width=16)


class Colours(nn.Module):
    """An encoder that returns the mean colour of a clip and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.calls = 0

    def forward(self, clips: Tensor) -> Tensor:
        self.calls += 1
        return clips.mean((2, 3, 4)) * self.scale


def test_features_are_those_of_each_clip(make_tracklets: MakeTracklets) -> None:
    tracklets = make_tracklets(persons=3)
    seen: list[tuple[int, int]] = []
    features = extract_clip_features(Colours(), tracklets, SPEC, batch=2, progress=lambda *n: seen.append(n))
    assert features.values.shape == (6, 3, 3) and features.ids == tuple(t.id for t in tracklets)
    assert seen[-1] == (6, 6)
    for t, tracklet in enumerate(tracklets):
        pixels = load_clips(tracklet, features.frame_numbers[t], (32, 16))
        for m in range(3):
            expected = prepare_clips(torch.from_numpy(pixels[m : m + 1])).mean((2, 3, 4))[0]
            assert features.values[t, m] == pytest.approx(expected.numpy(), abs=1e-5)


def test_features_do_not_depend_on_workers_and_batches(make_tracklets: MakeTracklets) -> None:
    tracklets = make_tracklets(persons=2)
    view = View(augmentation=Stage1(colour=0.3), seed=4)
    one = extract_clip_features(Colours(), tracklets, SPEC, view=view)
    other = extract_clip_features(Colours(), tracklets, SPEC, view=view, batch=3, workers=1)
    assert np.array_equal(one.values, other.values)
    straight = extract_clip_features(Colours(), tracklets, SPEC)
    assert not np.allclose(one.values, straight.values)


def test_features_are_stored_until_their_inputs_change(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=2)
    encoder, store = Colours(), FeatureStore(tmp_path)

    def calls(**changes: object) -> int:
        before = encoder.calls
        arguments = {"tracklets": tracklets, "spec": SPEC, "view": View()} | changes
        extract_clip_features(encoder, store=store, **arguments)  # type: ignore[arg-type]
        return encoder.calls - before

    assert calls() > 0
    assert calls() == 0
    assert calls(view=View(damage="corrupted")) > 0
    assert calls(spec=ClipSpec(length=2, count=2, height=32, width=16)) > 0
    assert calls(tracklets=tracklets[:1]) == 0
    assert calls(tracklets=[replace(tracklets[0], person=9, camera=9)]) == 0
    encoder.scale.data *= 2
    assert calls() > 0
    assert calls() == 0
    frame = tracklets[0].frame(0)
    frame.write_bytes(tracklets[1].frame(0).read_bytes())
    assert calls() > 0


def test_a_broken_frame_is_named_and_what_was_encoded_is_kept(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=3)
    intact = tracklets[3].frame(2).read_bytes()
    tracklets[3].frame(2).write_bytes(b"no picture")
    encoder, store = Colours(), FeatureStore(tmp_path)
    with pytest.raises(FrameError, match=tracklets[3].names[2]):
        extract_clip_features(encoder, tracklets, SPEC, store=store, batch=1)
    assert store.info().tracklets == encoder.calls == 3
    with pytest.raises(FrameError, match=r"^frame ") as failure:
        extract_clip_features(Colours(), tracklets, SPEC, workers=1, batch=1)
    assert "Traceback" not in str(failure.value) and "BytesIO" not in str(failure.value)
    tracklets[3].frame(2).write_bytes(intact)
    seen: list[tuple[int, int]] = []
    again = extract_clip_features(encoder, tracklets, SPEC, store=store, batch=1, progress=lambda *n: seen.append(n))
    assert encoder.calls == len(tracklets) and seen[0] == (3, 6) and seen[-1] == (6, 6)
    assert np.array_equal(again.values, extract_clip_features(Colours(), tracklets, SPEC, batch=1).values)


def test_only_missing_tracklets_are_encoded(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=3)
    encoder, store = Colours(), FeatureStore(tmp_path)
    extract_clip_features(encoder, tracklets[::2], SPEC, store=store, batch=1)
    before = encoder.calls
    mixed = extract_clip_features(encoder, tracklets, SPEC, store=store, batch=1)
    assert encoder.calls - before == 3
    assert np.array_equal(mixed.values, extract_clip_features(Colours(), tracklets, SPEC, batch=1).values)


def test_damage_is_mixed_per_clip(make_tracklets: MakeTracklets) -> None:
    tracklets = make_tracklets(persons=4)
    clean = extract_clip_features(Colours(), tracklets, SPEC)
    corrupted = extract_clip_features(Colours(), tracklets, SPEC, view=View(damage="corrupted"))
    mixed, damage = extract_damaged_features(Colours(), tracklets, SPEC, 3, seed=2)
    assert np.array_equal(damage, choose_corrupted(clean.ids, 3, 3, 2)) and damage.any() and not damage.all()
    assert np.array_equal(mixed.values[damage], corrupted.values[damage])
    assert np.array_equal(mixed.values[~damage], clean.values[~damage])
    untouched, none = extract_damaged_features(Colours(), tracklets, SPEC, 0)
    assert np.array_equal(untouched.values, clean.values) and not none.any()
    with pytest.raises(ShapeError):
        clean.mixed_with(corrupted.rows([0]), damage)


def test_several_kinds_of_damage_are_mixed_and_use_other_persons(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=4, cameras=1)
    clean = extract_clip_features(Colours(), tracklets, SPEC)

    def damaged(kind: Damage, donors: list[Tracklet], seed: int = 0) -> ClipFeatures:
        view = View(damage=kind, seed=seed)
        return extract_clip_features(Colours(), tracklets, SPEC, view=view, donors=donors, store=FeatureStore(tmp_path))

    kinds: dict[str, ClipFeatures] = {kind: damaged(kind, tracklets) for kind in DAMAGES}
    mixed, chosen = mixed_damage(clean, kinds, 3, seed=2)
    assert np.array_equal(chosen, choose_damage(clean.ids, 3, 3, DAMAGES, 2)) and len(set(chosen.ravel())) > 3
    for t, m in np.ndindex(chosen.shape):
        source = kinds[str(chosen[t, m])] if chosen[t, m] else clean
        assert np.array_equal(mixed.values[t, m], source.values[t, m])
    # With one donor, the clips of all other tracklets show its person. Its own clips cannot be damaged.
    (*others, donor) = tracklets
    shown = extract_clip_features(Colours(), others, SPEC, view=View(damage="other-person"), donors=[donor])
    assert np.abs(shown.values - clean.values[3].mean(0)).max() < 0.02
    with pytest.raises(DatasetError, match=donor.id):
        damaged("other-person", [donor])
    with pytest.raises(RecipeError, match="rain"):
        View(damage="rain")  # type: ignore[arg-type]
    one, flags = extract_damaged_features(Colours(), tracklets, SPEC, 3, 2, kind="empty")
    assert np.array_equal(flags, chosen != "") and np.array_equal(one.values[flags], kinds["empty"].values[flags])


def test_the_store_knows_donors_and_kinds(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=4, cameras=1)
    encoder = Colours()

    def calls(view: View, donors: list[Tracklet]) -> int:
        before = encoder.calls
        extract_clip_features(encoder, tracklets[:2], SPEC, view=view, donors=donors, store=FeatureStore(tmp_path))
        return encoder.calls - before

    for kind in DAMAGES:
        assert calls(View(damage=kind), tracklets) > 0
        assert calls(View(damage=kind), tracklets[::-1]) == 0
    assert calls(View(damage="other-person", seed=1), tracklets) > 0
    other_person = View(damage="other-person")
    assert calls(other_person, tracklets[2:3]) + calls(other_person, tracklets[3:]) > 0
    assert calls(View(damage="bad-crop"), tracklets[1:3]) == 0  # needs no donor
    for number in range(6):
        tracklets[2].frame(number).write_bytes(tracklets[0].frame(number).read_bytes())
    assert calls(other_person, tracklets[2:3]) > 0


def test_all_frames_of_tracklets_of_different_length(make_tracklets: MakeTracklets) -> None:
    long, short = make_tracklets(persons=2, cameras=1, frames=6)
    short = Tracklet(short.id, short.person, short.camera, short.folder, short.names[:4])
    features = extract_clip_features(Colours(), [long, short], ClipSpec(1, 1, "all", 32, 16))
    assert features.frame_numbers.tolist() == [[[0, 1, 2, 3, 4, 5]], [[0, 1, 2, 3, PADDING, PADDING]]]


def test_saved_features_come_back(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    features = extract_clip_features(Colours(), make_tracklets(persons=2), SPEC)
    features.save(tmp_path / "f.safetensors")
    again = ClipFeatures.load(tmp_path / "f.safetensors")
    assert again.ids == features.ids
    for name in ("persons", "cameras", "values", "frame_numbers"):
        assert np.array_equal(getattr(again, name), getattr(features, name))
    (tmp_path / "f.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError):
        ClipFeatures.load(tmp_path / "f.safetensors")


def test_equal_weights_with_and_without_instance_norm_have_different_keys(
    make_tracklets: MakeTracklets, tmp_path: Path
) -> None:
    tracklets, off, on = make_tracklets(persons=2), I3D(0.125), I3D(0.125, instance_norm=True)
    on.load_state_dict(off.state_dict())
    first, second = (
        extract_clip_features(encoder, tracklets, SPEC, store=FeatureStore(tmp_path)) for encoder in (off, on)
    )
    assert not np.array_equal(first.values, second.values)


def test_an_i3d_is_folded_once_and_precisions_have_different_keys(
    make_tracklets: MakeTracklets, tmp_path: Path
) -> None:
    tracklets, encoder = make_tracklets(persons=2), I3D(0.125).train()
    store = FeatureStore(tmp_path)
    exact = extract_clip_features(encoder, tracklets, SPEC, store=store)
    rough = extract_clip_features(encoder, tracklets, SPEC, store=store, compute=Compute("cpu", "half"))
    assert encoder.training and store.info().tracklets == 2 * len(tracklets)
    pixels = torch.from_numpy(
        np.stack([load_clips(t, n, (32, 16)) for t, n in zip(tracklets, exact.frame_numbers, strict=True)])
    )
    with torch.inference_mode():
        expected = encode_clips(encoder.eval(), pixels).numpy()
    assert exact.values == pytest.approx(expected, rel=1e-4, abs=1e-5 * float(np.abs(expected).max()))
    assert not np.array_equal(rough.values, exact.values)
    assert np.linalg.norm(rough.values - exact.values) <= 0.03 * np.linalg.norm(exact.values)


class Corners(nn.Module):
    """An image network that is not linear, with the number of frames that it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 7)
        self.seen = 0

    def forward(self, frames: Tensor) -> Tensor:
        self.seen += len(frames)
        halves = torch.cat([frames[:, :, :16].mean((2, 3)), frames[:, :, 16:].mean((2, 3))], 1)
        features: Tensor = self.layer(halves).tanh() * 3
        return features


class Plain(nn.Module):
    """An encoder of clips, so that every frame of every clip is encoded."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, clips: Tensor) -> Tensor:
        features: Tensor = self.encoder(clips)
        return features


VIEWS = [
    (View(), 6), (View(damage="corrupted"), 6), (View(damage="bad-crop"), 20), (View(damage="other-person"), 20),
    (View(augmentation=Stage1(colour=0.5), seed=3), 20), (View("corrupted", Stage1(erasing=1.0)), 20),
]  # fmt: skip


@pytest.mark.parametrize(("view", "distinct"), VIEWS, ids=lambda value: getattr(value, "damage", value))
@pytest.mark.parametrize("kind", ["frames", "neck", "python"])
def test_each_distinct_frame_is_encoded_once_with_the_same_features(
    make_tracklets: MakeTracklets, kind: str, view: View, distinct: int
) -> None:
    tracklets = make_tracklets(persons=3, cameras=1)
    torch.manual_seed(0)
    network = Corners()
    encoder: nn.Module = FrameEncoder(network, 7, [0.5] * 3, [0.2] * 3)
    if kind == "neck":
        encoder = NeckedEncoder(encoder, after=True)  # type: ignore[arg-type]
        encoder.neck.running_mean = torch.linspace(0, 1, 7)
    if kind == "python":
        encoder = PythonEncoder(network, PixelFormat((0.5,) * 3, (0.2,) * 3, size=(32, 16)))
    encoder.eval()
    expected = extract_clip_features(Plain(encoder), tracklets, OVERLAPPING, view=view, donors=tracklets)
    network.seen = 0
    features = extract_clip_features(encoder, tracklets, OVERLAPPING, view=view, donors=tracklets, batch=2)
    np.testing.assert_allclose(features.values, expected.values, rtol=1e-5, atol=1e-5)
    assert np.abs(expected.values[0] - expected.values[1]).max() > 0.01
    if kind == "python":  # the other two are copied for inference
        assert network.seen == distinct * len(tracklets)


def test_a_frame_repeated_in_an_augmented_clip_is_encoded_once() -> None:
    numbers = np.array([[0, 1, 0, 1], [1, 0, 1, 0]])
    for view, count in ((View(), 2), (View(augmentation=Stage1()), 4), (View(damage="empty"), 8)):
        first, which = distinct_frames(numbers, view)
        assert len(first) == count
        assert np.array_equal(numbers.ravel()[first][which], numbers)
        if view.augmentation is not None:
            assert set(which[0]).isdisjoint(which[1])


def test_functions_are_stored_only_by_name(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets, pixels = make_tracklets(persons=2), PixelFormat((0.0,) * 3, (1.0,) * 3, size=(32, 16))
    store = FeatureStore(tmp_path)

    def means(frames: Tensor) -> Tensor:
        return frames.mean((2, 3))

    extract_clip_features(PythonEncoder(means, pixels), tracklets, SPEC, store=store)
    assert store.info().tracklets == 0
    extract_clip_features(PythonEncoder(means, pixels, "means"), tracklets, SPEC, store=store)
    assert store.info().tracklets == len(tracklets)
    twice = PythonEncoder(lambda x: 2 * means(x), pixels, "doubled")
    doubled = extract_clip_features(twice, tracklets, SPEC, store=store)
    single = extract_clip_features(PythonEncoder(means, pixels, "means"), tracklets, SPEC, store=store)
    np.testing.assert_allclose(doubled.values, 2 * single.values, rtol=1e-5)
