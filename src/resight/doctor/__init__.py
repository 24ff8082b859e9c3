"""Find problems in data sets and in the input of `resight ingest`, and say how to solve them."""
