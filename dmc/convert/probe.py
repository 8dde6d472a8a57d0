"""What is in a file, and which medium it is: opens it, reads a little, states facts (facts.py)."""

from dmc.convert.facts import ChapterFacts, MediaFacts, StreamFacts

__all__ = ["ChapterFacts", "MediaFacts", "StreamFacts"]
