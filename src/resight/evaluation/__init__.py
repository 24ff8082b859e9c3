"""Rankings in, numbers out, by named protocols."""
