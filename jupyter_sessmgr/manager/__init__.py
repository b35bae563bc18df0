"""What may happen to a session: wishes in, one loop makes facts."""
