"""From a camera's video, with a tracker's boxes or without, to a folder of tracklets."""
