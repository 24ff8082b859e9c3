"""Synthetic people, rendered as tracklets in the layout of MARS and of other data sets."""
