"""The card of a model: may I use it, what is it worth, how was it made."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from resight.errors import CheckpointError, RecipeError, ShapeError
from resight.settings import replaced

_MAY_BE_EMPTY = ("seed", "by_fault", "transfer")


@dataclass(frozen=True)
class TrainedOn:
    """What a model has seen.

    Attributes:
        data: which data, in words.
        seed: that it was drawn from.
        persons: how many, those kept back for choices among them.
        tracklets: how many of them.
        frames: how many in all.
    """

    data: str = ""
    seed: int = 0
    persons: int = 0
    tracklets: int = 0
    frames: int = 0


@dataclass(frozen=True)
class ScoreTable:
    """Scores in percent, counts as whole numbers, and what they are worth; false if there are none.

    Attributes:
        data: whom they were measured on, in words.
        conditions: protocol, kind of AP, number of queries, re-ranking.
        command: that measures them again.
        columns: what is measured.
        rows: name of a method or group, to one value for each column.

    Raises:
        ShapeError: if a row has another number of values than there are columns.
    """

    data: str = ""
    conditions: str = ""
    command: str = ""
    columns: tuple[str, ...] = ()
    rows: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, row in self.rows.items():
            if len(row) != len(self.columns):
                raise ShapeError(f"the row {name!r} has {len(row)} values, expected {len(self.columns)}: one a column")

    def __bool__(self) -> bool:
        return bool(self.rows)

    def to_markdown(self) -> str:
        """Data, table, and what it is worth."""
        lines = [f"| {' | '.join(('', *self.columns))} |", "|---" * (1 + len(self.columns)) + "|"]
        for name, row in self.rows.items():
            cells = (f"{value:.1f}" if isinstance(value, float) else str(value) for value in row)
            lines.append(f"| {' | '.join((name, *cells))} |")
        return "\n".join([f"{self.data}, percent:", "", *lines, "", f"{self.conditions}. `{self.command}`"])


@dataclass(frozen=True)
class Card:
    """What is known of a model that comes with the package: the keys of the TOML file beside its weights.

    Attributes:
        name: that ``--model`` takes; the file's too.
        summary: what it is, in a line.
        licence: of the weights, as SPDX names it.
        intended_use: what it is for.
        limits: what it is not for, and where it fails; a sentence each.
        trained_on: what it has seen.
        recipe: name of its recipe; all settings are in the model file.
        commands: that make world and weights again, in their order.
        seconds: that the training took.
        machine: where.
        version: of this package, that wrote the weights.
        clips: what it looks at of a tracklet, in words.
        dim: D, numbers in the feature of a clip.
        size: of the weights file, bytes.
        sha256: of the weights file.
        validation: scores on persons whom training never saw.
        by_fault: the same, apart for queries with each fault of tracking.
        transfer: scores on real people.
    """

    name: str = ""
    summary: str = ""
    licence: str = ""
    intended_use: str = ""
    limits: tuple[str, ...] = ()
    trained_on: TrainedOn = field(default_factory=TrainedOn)
    recipe: str = ""
    commands: tuple[str, ...] = ()
    seconds: float = 0.0
    machine: str = ""
    version: str = ""
    clips: str = ""
    dim: int = 0
    size: int = 0
    sha256: str = ""
    validation: ScoreTable = field(default_factory=ScoreTable)
    by_fault: ScoreTable = field(default_factory=ScoreTable)
    transfer: ScoreTable = field(default_factory=ScoreTable)

    @property
    def megabytes(self) -> float:
        """Size of the weights file, 10⁶ bytes."""
        return self.size / 1e6

    def to_json(self) -> dict[str, Any]:
        """As plain values, under the keys of the TOML file."""
        return asdict(self)

    def to_markdown(self) -> str:
        """The whole card, to be read."""
        seen = self.trained_on
        parts = [
            f"## {self.name}",
            self.summary,
            f"**Meant for.** {self.intended_use}",
            "**Limits.** " + " ".join(self.limits),
            f"**Licence of the weights.** {self.licence}",
            f"**Trained on.** {seen.data}, seed {seen.seed}: {seen.persons:,} persons, {seen.tracklets:,} tracklets, "
            f"{seen.frames:,} frames.",
            f"**Made by** version {self.version} with the recipe `{self.recipe}`, {self.seconds / 60:,.0f} min of "
            f"training on {self.machine}:",
            "\n".join(["```sh", *self.commands, "```"]),
            f"**Looks at** {self.clips}; {self.dim} numbers a clip. The file has {self.megabytes:.1f} MB, "
            f"SHA-256 `{self.sha256}`.",
        ]
        tables = (
            ("What it is worth", self.validation),
            ("By what is wrong with the query", self.by_fault),
            ("On real people", self.transfer),
        )
        for title, table in tables:
            parts += [f"### {title}", table.to_markdown()] if table else []
        return "\n\n".join(parts)


def read_card(path: Path) -> Card:
    """The card in a TOML file.

    Raises:
        CheckpointError: if it is missing, is not TOML, says too little, or says something that no card does.
    """
    card = make_card(read_toml(path), str(path))
    if card.name != path.stem:
        raise CheckpointError(f"{path} is the card of {card.name!r}, expected {path.stem!r}: files have a model's name")
    return card


def read_toml(path: Path) -> dict[str, Any]:
    """The plain values in a TOML file.

    Raises:
        CheckpointError: if it is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} cannot be read, expected the card of a model as TOML ({error}); install Resight again"
        ) from error


def make_card(values: Mapping[str, Any], where: str) -> Card:
    """A card from plain values.

    Args:
        values: as in the TOML file; all but some tables of scores must be there.
        where: said in errors: where these are from.

    Raises:
        CheckpointError: if they say too little, or something that no card does.
    """
    try:
        card = replaced(Card(), dict(values), where)
    except (RecipeError, ShapeError) as error:
        raise CheckpointError(f"{where} is not the card of a model: {error}") from error
    if silent := _unsaid(card):
        raise CheckpointError(f"{where} says nothing about {', '.join(silent)}, as a card must")
    return card


def _unsaid(part: Card | TrainedOn | ScoreTable, prefix: str = "") -> list[str]:
    """Names of what must be said and is not."""
    found = []
    for name, value in ((one.name, getattr(part, one.name)) for one in fields(part)):
        if value and isinstance(value, TrainedOn | ScoreTable):
            found += _unsaid(value, f"{name}.")
        elif not value and name not in _MAY_BE_EMPTY:
            found.append(prefix + name)
    return found
