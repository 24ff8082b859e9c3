"""People that never lived, rendered as tracklets in the layout of MARS."""
