"""The loop that turns wishes into facts, and all that it does for that."""
