"""Published figures of Matiyali and Sharma, WACV 2020, in percent."""

from __future__ import annotations

from collections.abc import Mapping

OURS = "learned importance"
"""Row name of the paper's method in every table."""

RATES = (0, 1, 2, 3, 4, 5, 6, 7)
"""Values of M_c^max, the columns of Table 2."""

Curve = tuple[float, ...]

TABLE2_MAP: Mapping[str, Curve] = {
    "top 10 %-eval": (73.9, 72.6, 71.3, 68.5, 63.9, 57.0, 53.5, 49.2),
    "top 20 %-eval": (75.2, 74.7, 73.7, 72.3, 68.0, 60.6, 56.7, 49.3),
    "top 30 %-eval": (75.6, 75.1, 74.6, 73.7, 70.6, 62.5, 58.2, 49.0),
    "top 40 %-eval": (75.9, 75.3, 75.0, 74.1, 71.5, 63.2, 58.4, 48.7),
    "top 50 %-eval": (76.0, 75.4, 75.1, 74.3, 71.6, 63.2, 58.3, 48.3),
    "top 60 %-eval": (76.1, 75.4, 74.8, 74.1, 71.2, 63.0, 58.1, 47.9),
    "top 70 %-eval": (76.1, 75.2, 74.5, 73.4, 70.6, 62.7, 57.7, 47.5),
    "top 80 %-eval": (75.8, 75.0, 73.9, 72.7, 69.7, 61.9, 57.5, 47.3),
    "top 90 %-eval": (75.4, 74.5, 73.3, 71.9, 68.8, 61.3, 57.1, 47.0),
    "top 100 %-eval": (74.8, 73.6, 72.5, 70.9, 67.6, 60.5, 56.6, 47.1),
    "top 20 %-traineval": (74.7, 74.7, 74.4, 74.1, 72.0, 67.7, 64.7, 53.8),
    "top 50 %-traineval": (75.7, 75.4, 75.2, 74.7, 72.1, 64.9, 60.4, 49.1),
    "top 70 %-traineval": (75.7, 75.3, 74.4, 73.3, 70.0, 62.3, 58.4, 47.4),
    "top 100 %-traineval": (74.6, 73.4, 72.3, 70.5, 66.9, 59.5, 56.3, 46.6),
    OURS: (75.9, 75.4, 75.2, 75.2, 74.4, 73.7, 73.1, 69.9),
}
"""mAP at each of `RATES` on MARS."""

TABLE2_RANK1: Mapping[str, Curve] = {
    "top 10 %-eval": (78.9, 78.3, 78.0, 76.9, 73.0, 67.5, 64.7, 62.4),
    "top 20 %-eval": (80.9, 80.7, 80.9, 80.0, 76.8, 70.7, 67.6, 62.1),
    "top 30 %-eval": (81.2, 81.1, 81.6, 81.1, 79.7, 73.7, 69.3, 61.8),
    "top 40 %-eval": (81.8, 81.5, 82.6, 81.6, 80.2, 73.9, 70.1, 61.5),
    "top 50 %-eval": (82.5, 81.5, 82.6, 82.2, 80.3, 73.9, 70.0, 61.3),
    "top 60 %-eval": (83.2, 82.3, 82.2, 82.2, 79.7, 72.9, 70.1, 60.7),
    "top 70 %-eval": (83.2, 82.2, 82.4, 81.4, 79.2, 72.8, 69.6, 60.4),
    "top 80 %-eval": (82.9, 82.1, 82.2, 81.0, 78.6, 72.2, 69.4, 60.2),
    "top 90 %-eval": (82.6, 82.0, 82.0, 80.4, 77.6, 71.9, 68.5, 60.4),
    "top 100 %-eval": (82.2, 81.2, 81.1, 79.4, 76.8, 71.5, 67.9, 59.9),
    "top 20 %-traineval": (80.5, 80.7, 80.5, 80.9, 79.1, 77.1, 74.9, 67.1),
    "top 50 %-traineval": (82.2, 81.6, 82.6, 82.4, 79.9, 75.0, 72.0, 63.0),
    "top 70 %-traineval": (82.9, 82.3, 82.7, 81.8, 78.5, 73.5, 70.6, 60.7),
    "top 100 %-traineval": (82.5, 81.0, 81.7, 79.0, 76.7, 70.7, 67.9, 59.9),
    OURS: (82.7, 81.4, 81.4, 81.5, 79.8, 80.0, 80.3, 78.6),
}
"""Rank-1 at each of `RATES` on MARS."""

TABLE3: Mapping[str, tuple[float | None, ...]] = {
    "RQEN+XQDA, re-ranked": (71.1, 77.8, 88.8, 94.3),
    "TriNet, re-ranked": (77.4, 81.2, 90.8, None),
    "DuATM": (67.7, 81.1, 92.5, None),
    "MGCAN-Siamese": (71.2, 77.2, None, None),
    "PSE": (56.9, 72.1, None, None),
    "PSE + ECN": (71.8, 76.7, None, None),
    "RRU + STIM": (72.7, 84.4, 93.2, 96.3),
    "Two-Stream M3D": (74.1, 84.4, 93.8, 97.7),
    "PABR": (75.9, 84.7, 94.4, 97.5),
    "PABR, re-ranked": (83.9, 85.1, 94.2, 97.4),
    "CSSA-CSE + Flow": (76.1, 86.3, 94.7, 98.2),
    "STA": (80.8, 86.3, 95.7, 98.1),
    "STA, re-ranked": (87.7, 87.2, 96.2, 98.6),
    "D + GE + DG": (81.8, 87.3, 96.0, 98.1),
    OURS: (75.9, 82.7, 94.0, 97.2),
    "learned importance, re-ranked": (83.3, 83.4, 93.4, 97.4),
}
"""MARS: mAP, rank-1, rank-5, rank-20."""

TABLE4: Mapping[str, tuple[float | None, ...]] = {
    "ETAP-Net": (78.3, 83.6, 94.6, 97.6),
    "STA": (94.9, 96.2, 99.3, 99.6),
    "R + GE + DG": (94.9, 95.6, 99.3, 99.9),
    OURS: (88.5, 89.3, 98.3, 99.4),
}
"""DukeMTMC-VideoReID: mAP, rank-1, rank-5, rank-20."""

TABLE5: Mapping[str, tuple[float | None, ...]] = {
    "CNN + XQDA": (None, 77.3, 93.5, 99.3),
    "E2E AMOC+EpicFlow": (None, 83.7, 98.3, 100.0),
    "QAN": (None, 90.3, 98.2, 100.0),
    "M3D+RAL": (None, 91.0, None, None),
    "CSSA-CSE": (None, 88.6, 99.1, None),
    "Two-Stream M3D": (None, 94.4, 100.0, None),
    "CSSA-CSE + Flow": (None, 93.0, 99.3, 100.0),
    OURS: (None, 82.9, 95.8, 99.1),
}
"""PRID2011, mean of ten splits: mAP (not reported), rank-1, rank-5, rank-20."""

TABLE6: Mapping[int, Mapping[int, float]] = {
    1: {4: 63.3, 8: 68.5, 16: 69.8},
    2: {4: 70.1, 8: 73.0, 16: 72.9},
    4: {4: 74.5, 8: 74.9, 16: 73.7},
    8: {4: 74.9, 8: 75.0, 16: 73.7},
}
"""M → L → mAP of the mean of ℓ2-normalised clip features on MARS. Fig. 4 (L = 4) is published without numbers."""
