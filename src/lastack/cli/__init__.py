"""The command line: one module a verb; talks to people, holds no knowledge of TCP."""
