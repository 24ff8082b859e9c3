"""Why two tracklets match: evidence, pictures, a page."""
