"""Joint fine-tuning of clip encoder and importance: the end-to-end training that the paper could not afford."""

from __future__ import annotations

import copy
from dataclasses import replace

from resight.evaluation.metrics import Scores
from resight.models.aggregators import Aggregator
from resight.models.encoders import ClipEncoder
from resight.studies.joint_training import Joint, train_jointly
from resight.studies.outcome import Claim, Outcome, table_of_scores
from resight.studies.steps import Steps

AFTER = "fine-tuned together"
BEFORE = "encoder frozen (the paper)"


def joint(steps: Steps) -> Outcome:
    """Encoder and importance fine-tuned together after both stages, against the frozen encoder."""
    setting = steps.setting
    rate = setting.damaged_at
    seed = setting.seeds[0]
    usual = Joint()
    settings = replace(
        usual, optimisation=replace(
            usual.optimisation, epochs=setting.joint_epochs, milestones=(max(1, 3 * setting.joint_epochs // 4),),
            learning_rate=setting.recipe.stage2.optimisation.learning_rate / 10,
            persons=setting.recipe.stage2.optimisation.persons,
            tracklets=setting.recipe.stage2.optimisation.tracklets,
        ),
    )  # fmt: skip
    encoder, importance = steps.encoder(seed), steps.trained("learned", seed, rate)
    rows = {BEFORE: _scores(steps, encoder, importance, seed, rate)}
    recipe = steps.recipe(seed)
    recipe = replace(recipe, stage2=replace(recipe.stage2, max_corrupted=rate))
    with steps.timed(f"train joint-seed{seed}"):
        tuned, aggregator, _ = train_jointly(
            copy.deepcopy(encoder), copy.deepcopy(importance), steps.split.train, recipe,
            steps.options(f"joint-seed{seed}"), settings,
        )  # fmt: skip
    rows[AFTER] = _scores(steps, tuned, aggregator, seed, rate)
    table = table_of_scores({name: [scores] for name, scores in rows.items()}, (0, rate))
    gains = [table.means(AFTER)[place] - table.means(BEFORE)[place] for place in (0, 3)]
    claims = (Claim("training together helps, clean and damaged", min(gains) > 0,
                    f"{gains[0]:+.1f} and {gains[1]:+.1f} mAP"),)  # fmt: skip
    optimisation = settings.optimisation
    return Outcome(
        "joint", "Encoder and importance trained together", (table,), claims, rows[BEFORE][0].line(),
        notes=(f"{optimisation.epochs} epochs at a learning rate of {optimisation.learning_rate:g}, after both stages; "
               f"seed {seed}; M_c^max = {rate} in training.",),
    )  # fmt: skip


def _scores(steps: Steps, encoder: ClipEncoder, aggregator: Aggregator, seed: int, rate: int) -> list[Scores]:
    """On clean clips, and under the paper's corruption."""
    features = steps.damages_by(encoder, seed, ("corrupted",))
    mixed = features.mixed(rate, ("corrupted",), seed)
    return [steps.score(aggregator, one) for one in (features.clean, mixed)]
