"""Video person re-identification with learned clip-pair importance."""

__version__ = "0.1.0"
