"""Reads captures: formats, compression, merging; hands out frames, knows nothing of TCP."""
