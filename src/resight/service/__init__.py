"""The web service of a gallery: pages for operators, and the same as JSON for programs."""
