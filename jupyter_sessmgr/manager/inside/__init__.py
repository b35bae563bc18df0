"""What doors reach inside running sessions: files, and apps that serve."""
