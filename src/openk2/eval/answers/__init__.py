"""Final answers: found in what a model wrote, and compared with the reference.

One file a family. Nothing here raises for a text, and the time that a text may take is bounded.
"""
