"""The HPC Pack dialect: Attach to Session, and what its clients ask around it."""
