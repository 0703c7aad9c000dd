"""`python -m benchmarks`: LastACK against `cat`, against its peers, and against the memory of the machine.

Makes its captures itself, from fixed seeds, and prints packets per second, nanoseconds per packet, bytes per live
session, peak memory and ratios, all from one run on one machine.
"""
