"""The nouns: what a compute session *is*. Frozen values; standard library only, no I/O."""
