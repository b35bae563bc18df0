"""``jupyter sessmgr check``: what is missing, and what to do about it."""
