"""Close and open patterns played by real kernel stacks between network namespaces, captured and labelled.

Standard library and `ip`, `nft`, `tcpdump` only, so that it runs on a machine without this project's
dependencies. Needs root. `tools/make_captures.py` is the command.
"""
