"""Containers on a Docker engine."""
