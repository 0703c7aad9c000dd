"""The sample capture: a little network of real kernels, its people, and what is wrong in it."""
