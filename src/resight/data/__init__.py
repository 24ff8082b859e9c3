"""Pixels: data sets on disk, and the clips cut from them."""
