"""Clip encoders, the importance network and aggregators. None of them reads data sets."""
