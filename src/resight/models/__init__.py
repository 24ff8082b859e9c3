"""The maths: clip encoder, importance, aggregators. Blind to files."""
