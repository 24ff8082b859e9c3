"""Convert camera video, with or without a tracker's boxes, into a folder of tracklets."""
