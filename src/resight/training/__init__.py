"""Training of the clip encoder (stage 1) and of the importance network (stage 2)."""
