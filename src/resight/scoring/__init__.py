"""Similarity of tracklets from their clip features: a readable version for one pair, and fast ones for many."""
