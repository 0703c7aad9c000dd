"""Firewall timers: profiles, policies, and the one entry state machine that replay, emulator and exports read."""
