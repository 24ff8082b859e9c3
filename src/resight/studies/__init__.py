"""Studies: the tables and figures of the paper, and experiments beyond it."""
