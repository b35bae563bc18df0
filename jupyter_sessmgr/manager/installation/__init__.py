"""A state folder, and the servers on it: one that leads, others that follow."""
