"""Model cards: intended use, limits, training data, scores and origin of a shipped model."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from resight.errors import CheckpointError, RecipeError, ShapeError
from resight.settings import replaced
from resight.tables import Row, Table

_OPTIONAL = ("seed", "by_fault", "damage", "transfer", "published", "speed", "choices", "unit")


@dataclass(frozen=True)
class TrainedOn:
    """The training data of a model.

    Attributes:
        data: Description of the data.
        seed: Seed of a synthetic data set.
        persons: Number of persons, with validation persons of the same data set.
        tracklets: Number of their tracklets.
        frames: Number of their frames.
    """

    data: str = ""
    seed: int = 0
    persons: int = 0
    tracklets: int = 0
    frames: int = 0


@dataclass(frozen=True)
class ScoreTable:
    """A table of scores and how they were measured. False if it has no rows.

    Attributes:
        data: Description of the evaluation data.
        conditions: Protocol, kind of AP, number of queries, re-ranking.
        command: Command that reproduces the scores.
        columns: Names of the scores.
        rows: Name of a method or group, and one value per column: scores in percent, counts as integers.
        unit: Unit of the scores; empty if the columns name theirs.

    Raises:
        ShapeError: If a row does not have one value per column.
    """

    data: str = ""
    conditions: str = ""
    command: str = ""
    columns: tuple[str, ...] = ()
    rows: Mapping[str, Sequence[float]] = field(default_factory=dict)
    unit: str = "percent"

    def __post_init__(self) -> None:
        _ = self.table  # building the table checks the rows

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def table(self) -> Table:
        """The scores as a table."""
        rows = tuple(Row(name, tuple(values)) for name, values in self.rows.items())
        title = f"{self.data}, {self.unit}" if self.unit else self.data
        return Table(title, self.columns, rows, note=self.conditions)

    def to_markdown(self) -> str:
        """Return the table with the data above it, and the conditions and the command below it."""
        table = self.table
        return f"{table.title}:\n\n{table.to_markdown()}\n\n{table.note}. `{self.command}`"


@dataclass(frozen=True)
class Card:
    """The card of a shipped model: the keys of the TOML file beside its weights.

    Attributes:
        name: Name of the model and of its files.
        summary: Description in one line.
        licence: Licence of the weights as an SPDX identifier.
        intended_use: What the model is for.
        limits: What it is not for and where it fails, one statement each.
        trained_on: The training data.
        recipe: Name of the recipe; the model file holds all settings.
        commands: Commands that reproduce data and weights, in order.
        seconds: Duration of the training run in seconds.
        machine: Machine of the training run.
        version: Version of this package that wrote the weights.
        clips: Description of the clips that the encoder takes.
        dim: D, features per clip.
        size: Size of the weights file in bytes.
        sha256: SHA-256 of the weights file.
        validation: Scores on persons that are neither training nor validation persons.
        by_fault: The same scores by tracking fault of the query.
        damage: Scores on damaged clips, by kind of damage.
        transfer: Scores on real people.
        published: Scores of comparable models, as their authors published them.
        speed: Speed and size next to another model, measured in one run.
        choices: Scores of training runs that led to the model.
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
    damage: ScoreTable = field(default_factory=ScoreTable)
    transfer: ScoreTable = field(default_factory=ScoreTable)
    published: ScoreTable = field(default_factory=ScoreTable)
    speed: ScoreTable = field(default_factory=ScoreTable)
    choices: ScoreTable = field(default_factory=ScoreTable)

    @property
    def megabytes(self) -> float:
        """Size of the weights file in megabytes (10⁶ bytes)."""
        return self.size / 1e6

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain values, with the keys of the TOML file."""
        return asdict(self)

    def to_markdown(self) -> str:
        """Return the card as Markdown text."""
        data = self.trained_on
        parts = [
            f"## {self.name}",
            self.summary,
            f"**Intended use.** {self.intended_use}",
            "**Limits.** " + " ".join(self.limits),
            f"**Licence of the weights.** {self.licence}",
            f"**Training data.** {data.data}; seed {data.seed}; {data.persons:,} persons, "
            f"{data.tracklets:,} tracklets, {data.frames:,} frames.",
            f"**Training.** Version {self.version} with the recipe `{self.recipe}`, {self.seconds / 60:,.0f} min on "
            f"{self.machine}:",
            "\n".join(["```sh", *self.commands, "```"]),
            f"**Input and output.** {self.clips}; {self.dim}-dimensional clip features.",
            f"**File.** {self.megabytes:.1f} MB, SHA-256 `{self.sha256}`.",
        ]
        tables = (
            ("Scores", self.validation),
            ("Scores by tracking fault of the query", self.by_fault),
            ("Scores by kind of damage", self.damage),
            ("Scores on real people", self.transfer),
            ("Published scores of comparable models", self.published),
            ("Speed and size", self.speed),
            ("Choices that led to this model", self.choices),
        )
        for title, table in tables:
            parts += [f"### {title}", table.to_markdown()] if table else []
        return "\n\n".join(parts)


def read_card(path: Path) -> Card:
    """Return the card in a TOML file.

    Raises:
        CheckpointError: If the file is missing or not TOML, a key is missing or unknown, or the name in the card is not
            that of the file.
    """
    card = make_card(read_toml(path), str(path))
    if card.name != path.stem:
        raise CheckpointError(f"{path} is the card of {card.name!r}, expected {path.stem!r}, the name of the file")
    return card


def read_toml(path: Path) -> dict[str, Any]:
    """Return the values in a TOML file.

    Raises:
        CheckpointError: If the file is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} cannot be read, expected a model card in TOML ({error}): install Resight again"
        ) from error


def make_card(values: Mapping[str, Any], where: str) -> Card:
    """Return a card from plain values.

    Args:
        values: Values by the keys of the TOML file; only the seed and some tables may be missing.
        where: Where the values are from, for error messages.

    Raises:
        CheckpointError: If a key is missing or unknown, or a value has the wrong type.
    """
    try:
        card = replaced(Card(), dict(values), where)
    except (RecipeError, ShapeError) as error:
        raise CheckpointError(f"{where} is not a valid model card: {error}") from error
    if missing := _missing(card):
        raise CheckpointError(f"{where} is not a complete model card: missing {', '.join(missing)}")
    return card


def _missing(part: Card | TrainedOn | ScoreTable, prefix: str = "") -> list[str]:
    """Return the names of required values that are empty."""
    missing = []
    for name, value in ((attribute.name, getattr(part, attribute.name)) for attribute in fields(part)):
        if value and isinstance(value, TrainedOn | ScoreTable):
            missing += _missing(value, f"{name}.")
        elif not value and name not in _OPTIONAL:
            missing.append(prefix + name)
    return missing
