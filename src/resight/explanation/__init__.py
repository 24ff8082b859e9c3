"""Explanations of matches, figures and HTML pages."""
