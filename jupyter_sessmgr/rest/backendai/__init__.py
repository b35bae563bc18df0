"""The Backend.AI dialect: the session management document, and what its clients also send."""
