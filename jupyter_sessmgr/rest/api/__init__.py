"""Our own dialect, for the lab extension: what no document of others describes."""
