"""What kernels said and were asked, kept beside them."""
