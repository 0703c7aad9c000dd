"""Compiled loops. Numba is imported in `_jit` only."""
