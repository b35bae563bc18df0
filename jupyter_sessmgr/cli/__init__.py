"""The command line: ``jupyter sessmgr …``. Translates words into requests, and never decides."""
