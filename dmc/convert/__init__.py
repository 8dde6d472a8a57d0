"""The convert room: turns one file into another; knows nothing of items' lives."""
