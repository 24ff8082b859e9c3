from dataclasses import fields

import numpy as np

from resight.synthetic.body import body_solids
from resight.synthetic.clothes import BAGS, HATS, LOWERS, UPPERS, Outfit
from resight.synthetic.people import person, person_of
from resight.synthetic.solids import HAT, SHOES


def differences(a: Outfit, b: Outfit) -> set[str]:
    return {field.name for field in fields(Outfit) if getattr(a, field.name) != getattr(b, field.name)}


def test_persons_of_a_group_differ_in_few_items_and_others_in_many() -> None:
    group = [person(0, number, group=7).outfit for number in range(1, 9)]
    unrelated = [person(0, number).outfit for number in range(1, 9)]
    alike = [len(differences(group[0], other)) for other in group[1:]]
    different = [len(differences(unrelated[0], other)) for other in unrelated[1:]]
    assert max(alike) <= 6
    assert min(different) >= 5
    assert np.mean(alike) < 0.5 * np.mean(different)


def test_about_half_of_the_persons_are_dressed_like_another() -> None:
    alike = 0
    for block in range(1, 41):
        a, b = (person_of(1, 4 * block + k).outfit for k in (0, 1))
        alike += len(differences(a, b)) <= 6 and a.hair_style == b.hair_style
    assert 8 <= alike <= 32


def test_a_person_is_a_function_of_seed_and_number() -> None:
    assert person_of(3, 12) == person_of(3, 12)
    assert person_of(3, 12) != person_of(4, 12)
    assert person_of(3, -5) != person_of(3, -6)


def test_every_garment_occurs_and_is_described() -> None:
    people = [person(0, number) for number in range(300)]
    words = " ".join(drawn.words() for drawn in people)
    for names in (UPPERS, LOWERS, BAGS[1:], HATS[1:]):
        assert all(name in words for name in names)


def test_bodies_stand_on_the_ground_and_have_their_height() -> None:
    phase = np.linspace(0, 2 * np.pi, 24)
    for number in range(40):
        walker = person(0, number)
        solids = body_solids(walker, phase, np.ones(24))
        lowest = np.minimum(solids.start[..., 1] - solids.radii[:, 0], solids.end[..., 1] - solids.radii[:, 1])
        shoes = solids.cloth[:, 0] == SHOES
        assert np.abs(lowest[:, shoes].min(1)).max() < 0.07
        bare = solids.cloth[:, 0] != HAT
        top = (solids.start[..., 1] + solids.radii[:, 0])[:, bare].max(1)
        assert np.all(np.abs(top - walker.height) < 0.07 * walker.height)


def test_limbs_are_connected() -> None:
    solids = body_solids(person(0, 1), np.linspace(0, 6, 12), np.ones(12))
    # Thigh, shin, shoe and heel of the first leg are the first four solids.
    np.testing.assert_allclose(solids.end[:, 0], solids.start[:, 1])
    np.testing.assert_allclose(solids.end[:, 1], solids.start[:, 3])
