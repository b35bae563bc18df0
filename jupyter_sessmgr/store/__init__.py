"""What is remembered: the rows of sessions and places."""
