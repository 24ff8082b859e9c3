"""Every table and figure of the paper, and studies beyond it, by name."""
