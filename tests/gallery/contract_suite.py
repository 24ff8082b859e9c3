"""What every back end of a gallery must do. A test module inherits `Contract` and says how its stores are opened."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.gallery.stored import DIM, HEADER, same, stored

from resight.errors import GalleryError
from resight.gallery.contract import GalleryStore
from resight.gallery.labels import Groups
from resight.gallery.types import Event, Filter, Header

OpenStore = Callable[[Path, Header | None], GalleryStore]

FILTERS = [
    Filter(),
    Filter(cameras=("camera-1",)),
    Filter(cameras=()),
    Filter(after=510.0),
    Filter(before=500.0),
    Filter(after=505.0, before=505.0),
    Filter(shortest=10.5),
    Filter(longest=10.5),
    Filter(source="other"),
    Filter(persons=("anna", "ben")),
    Filter(ids=frozenset({"t3", "t4", "nobody"})),
    Filter(without=frozenset({"t3", "t4", "nobody"})),
    Filter(cameras=("camera-0", "camera-1"), after=200.0, without=frozenset({"t6"})),
]


class Contract:
    """Tests of `GalleryStore`."""

    @pytest.fixture
    def store(self, opened: OpenStore, tmp_path: Path) -> GalleryStore:
        return opened(tmp_path / "gallery", HEADER)

    def test_what_was_added_comes_back(self, store: GalleryStore, opened: OpenStore, tmp_path: Path) -> None:
        tracklets = [stored(n) for n in range(5)]
        assert store.add(tracklets[:3]) == ["t0", "t1", "t2"]
        assert store.add(tracklets) == [None, None, None, "t3", "t4"]
        again = opened(tmp_path / "gallery", None)
        assert again.header == HEADER
        assert all(same(a, b) for a, b in zip(again.fetch(["t4", "t0"]), [tracklets[4], tracklets[0]], strict=True))
        assert again.entries(["t2"]) == [tracklets[2].entry]
        keys = [tracklets[1].key, b"\0" * 32]
        assert again.known(keys) == {tracklets[1].key: "t1"}
        assert again.cameras() == {"camera-0": 2, "camera-1": 2, "camera-2": 1}
        assert again.verify() == [] and again.size() > 0

    def test_times_persons_and_sources_may_be_missing(self, store: GalleryStore) -> None:
        odd = stored(1, start=None, end=None, person=None, camera="", source="")
        odd = replace(odd, folder="", names=(), strip=())
        store.add([odd])
        assert same(store.fetch(["t1"])[0], odd)

    def test_an_id_that_is_taken_gets_digits_of_the_key(self, store: GalleryStore) -> None:
        second = replace(stored(2), entry=stored(1).entry)
        assert store.add([stored(1), second]) == ["t1", f"t1~{second.key.hex()[:6]}"]

    def test_a_call_adds_all_or_nothing(self, store: GalleryStore) -> None:
        wrong = replace(stored(2), features=np.zeros((3, DIM + 1), np.float16))
        infinite = replace(stored(3), features=np.full((3, DIM), np.inf, np.float16))
        for bad, words in ((wrong, "expected"), (infinite, "not finite")):
            with pytest.raises(GalleryError, match=words):
                store.add([stored(1), bad])
        assert store.count() == 0

    def test_unknown_ids_are_errors(self, store: GalleryStore) -> None:
        store.add([stored(1)])
        for call in (store.fetch, store.entries):
            with pytest.raises(GalleryError, match="no tracklet 'nobody'"):
                call(["t1", "nobody"])

    @pytest.mark.parametrize("where", FILTERS)
    def test_filters_select_what_they_accept(self, store: GalleryStore, where: Filter) -> None:
        tracklets = [stored(n) for n in range(9)]
        tracklets += [
            stored(10, start=None, end=None), stored(11, start=500.0, end=None), stored(12, start=None, end=500.0),
            stored(13, source="other", person="anna", end=1320.0),
        ]  # fmt: skip
        store.add(tracklets)
        expected = [t.id for t in tracklets if where.accepts(t.entry)]
        assert [entry.id for entry in store.page(where).entries] == expected
        assert store.count(where) == len(expected)
        ids, means = store.means(where)
        assert ids == expected and means.shape == (len(expected), DIM) and means.dtype == np.float32
        assert [t.id for block in store.scan(where, block=4) for t in block] == expected
        found = store.nearest(stored(3).mean[None], 50, where)[0][0]
        assert sorted(found) == sorted(expected)

    def test_pages_continue_where_the_last_one_ended(self, store: GalleryStore) -> None:
        store.add([stored(n) for n in range(7)])
        first = store.page(limit=3)
        assert [entry.id for entry in first.entries] == ["t0", "t1", "t2"] and first.cursor is not None
        store.remove(["t2", "t3"])
        store.add([stored(8)])
        second = store.page(cursor=first.cursor, limit=3)
        assert [entry.id for entry in second.entries] == ["t4", "t5", "t6"]
        third = store.page(cursor=second.cursor, limit=3)
        assert [entry.id for entry in third.entries] == ["t8"] and third.cursor is None
        newest = store.page(limit=2, newest=True)
        assert [entry.id for entry in newest.entries] == ["t8", "t6"]
        assert [e.id for e in store.page(cursor=newest.cursor, limit=2, newest=True).entries] == ["t5", "t4"]
        with pytest.raises(GalleryError, match="not a cursor"):
            store.page(cursor="x")

    def test_spaced_means_are_a_sample_in_order(self, store: GalleryStore) -> None:
        assert store.spaced_means(3).shape == (0, DIM)
        for first in range(0, 20, 5):
            store.add([stored(n) for n in range(first, first + 5)])
        store.remove(["t19"])
        means = store.means()[1]
        assert np.array_equal(store.spaced_means(4), means[[0, 6, 12, 18]])
        assert np.array_equal(store.spaced_means(50), means)

    def test_a_position_is_where_later_tracklets_begin(self, store: GalleryStore) -> None:
        first = store.position()
        store.add([stored(n) for n in range(3)])
        second = store.position()
        store.remove(["t2"])
        store.add([stored(3)])
        store.replace(HEADER, [stored(3), stored(0)], {"t0", "t1", "t3"})
        assert [entry.id for entry in store.page(cursor=first).entries] == ["t0", "t3"]
        assert [entry.id for entry in store.page(cursor=second).entries] == ["t3"]
        assert store.page(cursor=store.position()).entries == ()

    def test_nearest_is_by_cosine(self, store: GalleryStore) -> None:
        tracklets = [stored(n) for n in range(40)]
        store.add(tracklets)
        queries = np.stack([stored(3).mean, stored(50).mean])
        cosines = queries @ np.stack([t.mean for t in tracklets]).T
        for row, (ids, values) in zip(cosines, store.nearest(queries, 5), strict=True):
            order = np.argsort(-row)[:5]
            assert ids == [tracklets[n].id for n in order]
            assert np.allclose(values, row[order], atol=1e-6)

    def test_searches_see_what_was_added_and_removed(
        self, store: GalleryStore, opened: OpenStore, tmp_path: Path
    ) -> None:
        store.add([stored(n) for n in range(5)])
        other = opened(tmp_path / "gallery", None)
        query = stored(3).mean[None]
        assert store.nearest(query, 1)[0][0] == other.nearest(query, 1)[0][0] == ["t3"]
        other.remove(["t3", "t0"])
        other.add([stored(n) for n in range(5, 9)])
        expected = ["t1", "t2", "t4", "t5", "t6", "t7", "t8"]
        assert store.means()[0] == other.means()[0] == expected
        assert sorted(store.nearest(query, 50)[0][0]) == expected
        store.remove(["t8"])
        store.add([stored(8)])
        assert other.means()[0] == expected

    def test_removing_erases_the_events_that_name_a_tracklet(self, store: GalleryStore) -> None:
        store.add([stored(n) for n in range(3)])
        events = [
            Event("same", ("t0", "t1"), "anna", 5.0, {"note": "ü"}), Event("same", ("t1", "t2"), "ben", 6.0),
            Event("opened", (), "", 7.0),
        ]  # fmt: skip
        written = store.append_log(events)
        assert [event.number for event in written] == [1, 2, 3] and store.read_log() == written
        assert store.read_log(after=2) == written[2:]
        assert store.remove(["t0", "nobody", "t0"]) == ["t0"]
        *others, last = store.read_log()
        assert others == written[1:]
        assert (last.kind, last.ids, last.data) == ("keep", ("t1",), {"group": 1})
        assert store.append_log([Event("same", ("t1", "t2"))])[0].number == 5
        assert store.verify() == []

    def test_erasing_keeps_what_labels_say_of_the_others(self, store: GalleryStore) -> None:
        store.add([stored(n) for n in range(5)])
        store.append_log([Event("same", ("t0", "t1"), "ana", 5.0), Event("same", ("t1", "t2"), "ana", 6.0)])
        store.append_log([Event("reject", ("t1", "t3"), "ana", 7.0), Event("same", ("t3", "t4"), "ana", 8.0)])
        store.remove(["t1"])
        groups = store.groups()
        assert groups.members("unknown-0001") == ("t0", "t2") and groups.members("unknown-0004") == ("t3", "t4")
        assert groups.rejected("t2") == {"t3", "t4"}
        assert not [event for event in store.read_log() if "t1" in event.ids]

    def test_groups_follow_the_log(self, store: GalleryStore, opened: OpenStore, tmp_path: Path) -> None:
        """Random labels and erasures by two users of a gallery: both see what the whole log says."""
        store.add([stored(n) for n in range(12)])
        stores = (store, opened(tmp_path / "gallery", None))
        draw = random.Random(0)
        for step in range(60):
            each = draw.choice(stores)
            ids = [entry.id for entry in each.page().entries]
            if step % 12 == 11:
                each.remove(draw.sample(ids, 1))
            elif step % 7 == 6:
                each.append_log([Event("searched", (ids[0],))])
            else:
                event = Event(draw.choice(("same", "reject", "reject")), tuple(draw.sample(ids, 2)), "ana", 5.0)
                undone, place = draw.random() < 0.3, draw.randrange(100)

                def decide(
                    groups: Groups, _: int, event: Event = event, undone: bool = undone, place: int = place
                ) -> list[Event]:
                    active = groups.active()
                    return [groups.undo(active[place % len(active)].number, "ana", 5.0) if active and undone else event]

                each.label(decide)
            for one in draw.sample(stores, draw.choice((1, 2))):
                groups, whole = one.groups(), Groups(one.read_log())
                assert groups.events == whole.events and groups.contradictions == whole.contradictions
                assert [groups.members(id_) for id_ in groups.ids()] == [whole.members(id_) for id_ in whole.ids()]
                assert all(groups.rejected(id_) == whole.rejected(id_) for id_ in ids)
        assert store.last_event() >= store.read_log()[-1].number and store.groups().active()

    def test_labelling_is_done_or_not_done(self, store: GalleryStore, opened: OpenStore, tmp_path: Path) -> None:
        store.add([stored(n) for n in range(3)])
        with pytest.raises(ZeroDivisionError):
            store.label(lambda _, first: [Event("same", ("t0", "t1"))][first // 0 :])
        with pytest.raises(GalleryError, match="no tracklet 'nobody'"):
            store.label(lambda *_: [Event("same", ("t0", "t1")), Event("same", ("t0", "nobody"))])
        assert store.read_log() == [] and len(store.groups()) == 0 and store.last_event() == 0
        other = opened(tmp_path / "gallery", None)
        firsts: list[int] = []

        def decide(groups: Groups, first: int) -> list[Event]:
            firsts.append(first)
            return [Event("same", ("t0", "t1")), Event("same", ("t1", "t2"))] if not len(groups) else []

        assert [event.number for event in store.label(decide)] == [1, 2] and other.label(decide) == []
        assert firsts == [1, 3] and other.groups().members("unknown-0001") == ("t0", "t1", "t2")

    def test_an_event_must_name_stored_tracklets(self, store: GalleryStore) -> None:
        store.add([stored(1)])
        with pytest.raises(GalleryError, match="no tracklet 'nobody'"):
            store.append_log([Event("same", ("t1", "t1")), Event("same", ("t1", "nobody"))])
        assert store.read_log() == []

    def test_settings(self, store: GalleryStore) -> None:
        assert store.read_setting("calibration") is None
        for value in ({"scale": 0.5}, [1, 2]):
            store.write_setting("calibration", value)
            assert store.read_setting("calibration") == value
        store.write_setting("calibration", None)
        assert store.read_setting("calibration") is None

    def test_replacing_keeps_the_labels_of_what_stays(
        self, store: GalleryStore, opened: OpenStore, tmp_path: Path
    ) -> None:
        store.add([stored(n) for n in range(3)])
        other = opened(tmp_path / "gallery", None)
        other.means()
        kept, *_ = store.append_log([Event("same", ("t0", "t1")), Event("same", ("t1", "t2"))])
        store.write_setting("calibration", 1)
        header = Header("encoder-2", {"length": 4}, 8, "other")
        new = [
            replace(t, features=t.features[:, :8], mean=t.mean[:8] / np.linalg.norm(t.mean[:8]))
            for t in (stored(0), stored(1))
        ]
        with pytest.raises(GalleryError, match=r"added .* meanwhile"):
            store.replace(header, new, {"t0", "t1"})
        assert store.header == HEADER and store.count() == 3
        other.add([stored(3)])
        other.remove(["t3"])  # it is not stored again, although it was encoded before it was removed
        late = replace(new[0], entry=stored(3).entry, key=stored(3).key)
        assert store.replace(header, [*new, late], {"t0", "t1", "t2", "t3"}) == 2
        for each in (store, other):
            assert each.header == header and each.read_log() == [kept] and each.read_setting("calibration") is None
            assert each.means()[1].shape == (2, 8) and same(each.fetch(["t1"])[0], new[1])
        assert store.verify() == []

    def test_another_model_is_refused(self, store: GalleryStore, opened: OpenStore, tmp_path: Path) -> None:
        store.add([stored(1)])
        for other in (replace(HEADER, encoder="encoder-2"), replace(HEADER, clips={"length": 8})):
            with pytest.raises(GalleryError, match="gallery rebuild"):
                opened(tmp_path / "gallery", other)
        assert opened(tmp_path / "gallery", replace(HEADER, model="a/copy.safetensors")).count() == 1

    def test_a_missing_gallery_is_made_only_with_a_header(self, opened: OpenStore, tmp_path: Path) -> None:
        with pytest.raises(GalleryError, match="does not exist"):
            opened(tmp_path / "none", None)
        assert not (tmp_path / "none").exists()
