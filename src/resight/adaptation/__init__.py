"""Adaptation of a model to your cameras, from tracklets without labels."""
