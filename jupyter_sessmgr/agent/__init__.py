"""The program inside a session. It travels by standard input and imports nothing of ours."""
