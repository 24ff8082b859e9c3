"""Side-by-side timings against plain implementations."""
