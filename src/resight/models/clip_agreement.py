"""Importance from the quality of each clip, its agreement with its own tracklet, and the cosine of the pair.

This is beyond the paper: its network g sees each clip pair, this one each clip. Legend: Q query tracklets of M clips, G
gallery tracklets of N clips, B tracklets, D features per clip, H hidden units.
"""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.models.contract import Aggregator, PairWeights, check_features, cosines, shares
from resight.recipe import Stage2

SHARPNESS, AGREEMENT = 1.0, 0.45
"""beta and gamma, times the standard deviation of the cosines of clips of different tracklets.

Chosen on synthetic people: with a larger beta, few clip pairs decide; with a larger gamma, a majority of clips of
another person does.
"""

_SPREAD = 0.15
"""The standard deviation that is assumed until `set_scale` measures it."""

_MEASURED = 256
"""Tracklets, at most, whose cosines `set_scale` computes."""

_SCALE = 10.0
"""Factor on clip features of length 1, so that the first layer gets values of about 0.4."""

_LOGIT = 2.0
"""Logit of the quality of a clip before training: 0.88, as most clips are good."""


class ClipAgreement(Aggregator):
    """Mean of clip-pair cosines, weighted by the quality and agreement of both clips and by the cosine itself.

    With q_i = sigmoid(network(f_i)), the quality of a clip, and a_i, the mean cosine of clip i to the other clips of
    its tracklet, weighted by their quality, the importance of a clip pair is

        alpha_ij = q_i q_j exp(beta cos_ij + gamma (a_i + a_j)),

    and the similarity is sum(alpha cos) / sum(alpha), as in Eq. 3. Low quality excludes clips without a person, low
    agreement a minority of clips of another person, and a low cosine all clip pairs that do not show the same person.

    Unlike `Learned`, it has no order of the clip pairs, is symmetric in query and gallery, and evaluates its network
    once per clip and not once per clip pair.

    Args:
        dim: Features per clip, D.
        hidden: Hidden units of the network, H.
        dropout: Dropout of the hidden units in training; half of it for the features.
    """

    kind = "clip-agreement"
    learns_importance = True
    sharpness: Tensor
    agreement: Tensor

    def __init__(self, dim: int = 1024, hidden: int = 64, dropout: float = 0.3) -> None:
        super().__init__()
        self.dim, self.dropout = dim, dropout
        self.first, self.last = nn.Linear(dim, hidden), nn.Linear(hidden, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.constant_(self.last.bias, _LOGIT)
        # In the model file, because they depend on the encoder.
        self.register_buffer("sharpness", torch.tensor(SHARPNESS / _SPREAD))
        self.register_buffer("agreement", torch.tensor(AGREEMENT / _SPREAD))

    @classmethod
    def from_recipe(cls, dim: int, stage: Stage2) -> Self:
        """See `Aggregator.from_recipe`."""
        return cls(dim, stage.hidden, stage.dropout)

    @property
    def label(self) -> str:
        """See `Aggregator.label`."""
        return "learned importance"

    @torch.no_grad()
    def set_scale(self, features: Tensor) -> None:
        """Set beta and gamma by the spread of the cosines of clips of different tracklets; see `Aggregator.set_scale`.

        The cosines of one encoder fill the range from -0.2 to 1, those of another 0.3 to 1.
        """
        features = features[:: -(-len(features) // _MEASURED)]
        cosine = cosines(features, features)
        different = ~torch.eye(len(features), dtype=torch.bool, device=features.device)
        spread = float(cosine[different].std(correction=0)) if different.any() else 0.0
        if spread > 0:
            self.sharpness.fill_(SHARPNESS / spread)
            self.agreement.fill_(AGREEMENT / spread)

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Return weighted mean cosines, (Q, M, D) and (G, N, D) to (Q, G); see `Aggregator.forward`."""
        check_features(query, gallery, self.dim)
        dropout = self.dropout if self.training else 0.0
        cosine = cosines(query, gallery)
        logs = self._logs(query, gallery, cosine, dropout).flatten(2)
        return (logs.softmax(2) * cosine.flatten(2)).sum(2)

    @torch.no_grad()
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Return the importance of all clip pairs, relative to the largest; see `Aggregator.pair_weights`."""
        query, gallery = query[None], gallery[None]
        check_features(query, gallery, self.dim)
        cosine = cosines(query, gallery)
        logs = self._logs(query, gallery, cosine, 0.0)[0, 0]
        return shares((logs - logs.amax()).exp(), cosine[0, 0])

    def _logs(self, query: Tensor, gallery: Tensor, cosine: Tensor, dropout: float) -> Tensor:
        """Return the logarithm of the importance, (Q, G, M, N)."""
        of_query, of_gallery = (self._of_clips(x, dropout) for x in (query, gallery))
        return self.sharpness * cosine + of_query[:, None, :, None] + of_gallery[None, :, None, :]

    def _of_clips(self, features: Tensor, dropout: float) -> Tensor:
        """Return log q_i + gamma a_i of all clips, (B, M, D) to (B, M)."""
        clips = F.normalize(features, dim=-1)
        x = F.relu(self.first(F.dropout(_SCALE * clips, dropout / 2, dropout > 0)))
        logit = self.last(F.dropout(x, dropout, dropout > 0)).squeeze(-1)
        others = torch.sigmoid(logit)[:, None, :] * (1 - torch.eye(clips.shape[1]).to(clips))
        agreement = (others * (clips @ clips.transpose(1, 2))).sum(2)
        total = others.sum(2).clamp(min=torch.finfo(clips.dtype).tiny)  # a single clip has no others
        return F.logsigmoid(logit) + self.agreement * agreement / total
