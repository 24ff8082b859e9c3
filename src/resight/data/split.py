"""The persons of a training run: those to train on, and those for validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from resight.errors import DatasetError
from resight.tracklet import Tracklet, by_person
from resight.words import counted


@dataclass(frozen=True)
class TrainingSplit:
    """Tracklets to train on and tracklets for validation; junk and distractors are in neither.

    A training run derives it once and passes it to all of its stages, so that no stage trains on a validation person.

    Attributes:
        train: Tracklets of the persons to train on, grouped by person.
        validation: Tracklets of the validation persons, for model selection and for the threshold, grouped by person.
        donors: Tracklets of further persons, whom damage shows in training; if empty, those to train on.
        validation_donors: Tracklets of further persons, whom damage shows in validation; if empty, those to train on.
    """

    train: tuple[Tracklet, ...]
    validation: tuple[Tracklet, ...]
    donors: tuple[Tracklet, ...] = ()
    validation_donors: tuple[Tracklet, ...] = ()

    @classmethod
    def draw(cls, tracklets: Sequence[Tracklet], share: float, seed: int) -> TrainingSplit:
        """Return a split with a random share of the persons for validation.

        Only persons seen by at least two cameras are drawn: no correct match exists for the others.

        Args:
            tracklets: Tracklets of all training persons.
            share: Share of the persons to use for validation, between 0 and 1; at least two persons are drawn.
            seed: Seed of the draw.

        Raises:
            DatasetError: If too few persons are seen by two cameras.
        """
        groups = by_person(tracklets)
        possible = [person for person, own in groups.items() if len({t.camera for t in own}) > 1]
        needed = max(2, round(share * len(groups)))
        if len(possible) < needed:
            raise DatasetError(
                f"{counted(len(possible), 'persons')} of the training data are seen by two cameras, but {needed} are "
                "needed for validation: add tracklets of the same persons from other cameras, or validate on another "
                "data set with --validate-on. With one camera only, list the tracklets in a manifest without camera: "
                "each then counts as a camera of its own"
            )
        drawn = set(np.random.default_rng([seed, 3]).permutation(possible)[:needed].tolist())
        return cls(
            train=tuple(t for person, own in groups.items() if person not in drawn for t in own),
            validation=tuple(t for person, own in groups.items() if person in drawn for t in own),
        )

    @classmethod
    def with_validation(cls, tracklets: Sequence[Tracklet], validation: Sequence[Tracklet]) -> TrainingSplit:
        """Return a split that trains on all persons of `tracklets` and validates on other tracklets.

        Args:
            tracklets: Tracklets of all training persons.
            validation: Tracklets of other persons, for example from another data set.

        Raises:
            DatasetError: If there are no tracklets of known persons for validation.
        """
        train, held_out = (
            tuple(t for own in by_person(side).values() for t in own) for side in (tracklets, validation)
        )
        if not held_out:
            raise DatasetError(
                "the validation data has no training persons: use a data set with training tracklets, or draw the "
                "validation persons from the data to train on"
            )
        return cls(train, held_out)

    def sides(self) -> tuple[tuple[Tracklet, ...], tuple[Tracklet, ...]]:
        """Return the validation tracklets in two sides that can search each other.

        The cameras of each person alternate between the sides, so that a person seen by two cameras is in both.
        """
        first: set[tuple[int, int]] = set()
        for number, (person, own) in enumerate(by_person(self.validation).items()):
            cameras = sorted({t.camera for t in own})
            first |= {(person, camera) for camera in cameras[number % 2 :: 2]}
        return (
            tuple(t for t in self.validation if (t.person, t.camera) in first),
            tuple(t for t in self.validation if (t.person, t.camera) not in first),
        )

    def limit_persons(self, count: int, seed: int) -> TrainingSplit:
        """Return the split with at most `count` persons to train on, drawn at random, and the same validation persons.

        Args:
            count: Number of persons; 0 keeps all.
            seed: Seed of the draw.
        """
        persons = list(by_person(self.train))
        if not 0 < count < len(persons):
            return self
        drawn = set(np.random.default_rng([seed, 4]).permutation(persons)[:count].tolist())
        return replace(self, train=tuple(t for t in self.train if t.person in drawn))
