"""Similarity of tracklets from their clip features: readable for one pair, fast for all."""
