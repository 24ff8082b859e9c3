"""Clip features: their type, their extraction, and the store that keeps them."""
