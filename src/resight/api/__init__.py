"""The public API: what `import resight` gives, and what the command line calls."""
