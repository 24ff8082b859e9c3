from __future__ import annotations

from pathlib import Path

import pytest

from resight.errors import CheckpointError, ShapeError
from resight.shipped.card import Card, ScoreTable, make_card, read_card


@pytest.fixture
def path(shipped_folder: Path) -> Path:
    return shipped_folder / "open.toml"


def test_a_card_is_read_and_can_be_written_as_plain_values(path: Path) -> None:
    card = read_card(path)
    assert card.limits == ("It knows nobody.", "It never will.") and card.trained_on.persons == 1000
    assert card.validation.rows["mean of pairs"] == [36.7, 32.2] and not card.transfer
    assert make_card(card.to_json(), "here") == card


def test_the_text_of_a_card_has_all_its_values(path: Path) -> None:
    card = read_card(path)
    text = card.to_markdown()
    for value in (card.summary, card.licence, card.intended_use, *card.limits, card.recipe, *card.commands,
                  card.machine, card.version, card.clips, card.sha256, card.trained_on.data, card.validation.data,
                  card.validation.conditions, card.validation.command):  # fmt: skip
        assert value in text
    assert (
        "1,000 persons, 8,000 tracklets, 400,000 frames" in text
        and "2 min" in text
        and "128-dimensional clip features" in text
    )
    assert "| learned importance | 40.9 | 35.3 |" in text
    assert "real people" not in text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('licence = "Apache-2.0"', "", "is not a complete model card: missing licence"),
        ('data = "nobody"', "", "missing trained_on.data"),
        ('command = "resight evaluate mars:worlds/other"', "", "missing validation.command"),
        ("dim = 128", 'dim = "many"', "dim is 'many', expected a whole number"),
        ("dim = 128", "dimension = 128", "unknown setting 'dimension'"),
        ("[36.7, 32.2]", "[36.7]", "'mean of pairs' has 1 cells, expected one for each of the 2 columns"),
        ('"open"', '"open-large"', "is the card of 'open-large', expected 'open'"),
        ("dim = 128", "dim = = 128", "cannot be read, expected a model card in TOML"),
    ],
)
def test_a_card_with_missing_or_unknown_values_is_refused(path: Path, old: str, new: str, words: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(CheckpointError, match=words) as raised:
        read_card(path)
    assert str(path) in str(raised.value)


def test_a_missing_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_card(tmp_path / "none.toml")


def test_rows_have_one_value_per_column() -> None:
    assert not ScoreTable() and not Card().validation
    with pytest.raises(ShapeError, match="one for each of the 1 columns"):
        ScoreTable(columns=("mAP",), rows={"a": (1.0, 2.0)})
