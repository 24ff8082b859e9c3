"""The gallery: tracklets that are stored, searched and labelled."""
