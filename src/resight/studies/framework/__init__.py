"""What every study needs: its size, the steps that studies share, and the form of its result."""
