"""The commands resight gallery label, suggest, log, calibrate and watch."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from resight.cli.app import Device, Json, Top, print_result
from resight.cli.gallery import Flag, Folder, gallery, open_gallery

if TYPE_CHECKING:
    from resight.gallery.watch import Match

Author = Annotated[str | None, Parameter(help="Who makes the label. By default the name of the user.")]


@gallery.command
def label(
    folder: Folder, kind: Literal["confirm", "reject", "same", "different", "undo"], what: list[str], *,
    author: Author = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Say whether tracklets show one person. Nothing is overwritten: undo is a label as well.

    Args:
        kind: confirm or reject an answer of a search; same or different for any two tracklets; undo an earlier label.
        what: Ids of two tracklets or groups, for confirm and reject the query first; for undo the number of the label.
    """
    from resight.errors import GalleryError

    opened = open_gallery(folder)
    if kind == "undo":
        if len(what) != 1 or not (what[0].isascii() and what[0].isdigit()):
            raise GalleryError(f"undo needs the number of one label, found {' '.join(what)}: see resight gallery log")
        event = opened.undo(int(what[0]), author=author)
    elif len(what) != 2:
        raise GalleryError(f"{kind} needs the ids of two tracklets or groups, found {len(what)}")
    else:
        event = getattr(opened, kind)(*what, author=author)
    groups = opened.groups()
    group = groups.group(event.ids[0])
    text = f"label {event.number}: {kind} {' '.join(what)}"
    if group is not None:
        text += f"\n{group}: {', '.join(groups.members(group))}"
    print_result({**event.to_json(), "group": group}, text, as_json)


@gallery.command
def log(folder: Folder, *, labels: Annotated[bool, Flag] = False, as_json: Json = False) -> None:
    """List what was labelled and reported, by whom and when, and labels that contradict each other.

    Args:
        labels: Only labels.
    """
    from resight.gallery.labels import line

    opened = open_gallery(folder)
    events, groups = opened.log(labels=labels), opened.groups()
    lines = [line(event) for event in events]
    lines += [f"contradiction: {text}" for text in groups.contradictions]
    lines.append(f"{len(events):,} events, {len(groups):,} groups")
    members = {group: list(groups.members(group)) for group in groups.ids()}
    values = {
        "events": [event.to_json() for event in events], "groups": members, "contradictions": groups.contradictions,
    }  # fmt: skip
    print_result(values, "\n".join(lines), as_json)


@gallery.command
def suggest(folder: Folder, *, k: Top = 20, device: Device = "auto", as_json: Json = False) -> None:
    """List pairs of tracklets that are likely to show one person, to be labelled."""
    found = open_gallery(folder, None, device).suggest(k)
    lines = [
        f"{_percent(s.probability)}  similarity {s.similarity:.3f}  {s.first.id}  {s.second.id}" for s in found
    ] or ["no likely pair is without a label"]
    print_result({"suggestions": [s.to_json() for s in found]}, "\n".join(lines), as_json)


@gallery.command
def calibrate(folder: Folder, *, device: Device = "auto", as_json: Json = False) -> None:
    """Calibrate probabilities and threshold on tracklets and labels. Repeat it when the gallery has grown."""
    opened = open_gallery(folder, None, device)
    calibration = opened.calibrate()
    size = max(len(opened), 1)
    threshold = calibration.threshold(0.05, size)
    text = (
        f"{calibration.line()}\nthreshold {threshold:.3f} for a search in {size:,} tracklets, false-alarm rate 5 %\n"
        f"{calibration.matches:.1f} other tracklets of a person expected"
    )
    print_result({**calibration.to_json(), "threshold": threshold}, text, as_json)


@gallery.command
def watch(
    folder: Folder, persons: list[str], *, webhook: str | None = None, every: float = 2.0,
    once: Annotated[bool, Flag] = False, device: Device = "auto",
) -> None:  # fmt: skip
    """Report each new tracklet that matches a person, as one line of JSON. Stop it with Ctrl-C.

    New are tracklets added after the person was watched first. A restart repeats no match, except for one that the
    process was killed in the middle of; it has the same id.

    Args:
        persons: Ids of groups, such as unknown-0001, or of tracklets.
        webhook: Post matches to this URL as well. It must be on this machine, such as http://localhost:8000/events.
        every: Seconds between two looks at the gallery.
        once: Look once, and stop.
    """
    from resight.errors import GalleryError
    from resight.gallery.watch import check_webhook, post

    if webhook is not None:
        check_webhook(webhook)
    if not every > 0:
        raise GalleryError(f"every is {every:g} seconds, expected more than 0")

    def deliver(match: Match) -> None:
        if webhook is not None:
            post(match, webhook)
        sys.stdout.write(json.dumps(match.to_json()) + "\n")
        sys.stdout.flush()

    opened = open_gallery(folder, None, device)
    for _ in opened.watch(persons, deliver, every=None if once else every):
        pass


def _percent(probability: float | None) -> str:
    return "  – " if probability is None else f"{100 * probability:3.0f} %"
