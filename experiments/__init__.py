"""Studies: what is run, on what, and the tables and pictures that come of it."""
