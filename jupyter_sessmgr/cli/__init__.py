"""The command line, jupyter sessmgr."""
