"""What a user would write, or pick."""
