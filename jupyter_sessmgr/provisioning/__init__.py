"""The kernel door: a kernel picked in Jupyter is a compute session."""
