"""The slow, obvious twin of the tracker: plain Python written from docs/reference/definitions.md alone.

Nothing here imports the readers, decoders or kernels of LastACK: an error has to be made twice to go unseen.
"""
