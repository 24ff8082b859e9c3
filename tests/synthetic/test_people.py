from dataclasses import fields

import numpy as np

from resight.synthetic.body import HAT, SHOES, body_solids
from resight.synthetic.people import BAGS, HATS, LOWERS, UPPERS, Outfit, person, person_of


def differences(a: Outfit, b: Outfit) -> set[str]:
    return {field.name for field in fields(Outfit) if getattr(a, field.name) != getattr(b, field.name)}


def test_persons_of_a_group_differ_in_few_things_and_strangers_in_many() -> None:
    group = [person(0, number, group=7).outfit for number in range(1, 9)]
    strangers = [person(0, number).outfit for number in range(1, 9)]
    alike = [len(differences(group[0], other)) for other in group[1:]]
    strange = [len(differences(strangers[0], other)) for other in strangers[1:]]
    assert max(alike) <= 6
    assert min(strange) >= 5
    assert np.mean(alike) < 0.5 * np.mean(strange)


def test_about_half_of_the_persons_have_a_double() -> None:
    alike = 0
    for block in range(1, 41):
        a, b = (person_of(1, 4 * block + k).outfit for k in (0, 1))
        alike += len(differences(a, b)) <= 6 and a.hair_style == b.hair_style
    assert 8 <= alike <= 32


def test_a_person_is_the_same_whoever_asks() -> None:
    assert person_of(3, 12) == person_of(3, 12)
    assert person_of(3, 12) != person_of(4, 12)
    assert person_of(3, -5) != person_of(3, -6)


def test_every_garment_is_worn_and_named() -> None:
    people = [person(0, number) for number in range(300)]
    words = " ".join(one.words() for one in people)
    for names in (UPPERS, LOWERS, BAGS[1:], HATS[1:]):
        assert all(name in words for name in names)


def test_bodies_stand_on_the_ground_and_are_as_tall_as_they_say() -> None:
    phase = np.linspace(0, 2 * np.pi, 24)
    for number in range(40):
        one = person(0, number)
        solids = body_solids(one, phase, np.ones(24))
        lowest = np.minimum(solids.start[..., 1] - solids.radii[:, 0], solids.end[..., 1] - solids.radii[:, 1])
        shoes = solids.cloth[:, 0] == SHOES
        assert np.abs(lowest[:, shoes].min(1)).max() < 0.07
        bare = solids.cloth[:, 0] != HAT
        top = (solids.start[..., 1] + solids.radii[:, 0])[:, bare].max(1)
        assert np.all(np.abs(top - one.height) < 0.07 * one.height)


def test_limbs_hang_together() -> None:
    solids = body_solids(person(0, 1), np.linspace(0, 6, 12), np.ones(12))
    # Thigh, shin, shoe and heel of the first leg are the first four solids.
    np.testing.assert_allclose(solids.end[:, 0], solids.start[:, 1])
    np.testing.assert_allclose(solids.end[:, 1], solids.start[:, 3])
