"""Scores of rankings by named protocols."""
