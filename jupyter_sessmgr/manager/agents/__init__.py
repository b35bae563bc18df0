"""The way to the agents of places, and what they say, checked."""
