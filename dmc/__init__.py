"""dmc: the distributed media converter. Drop a file into a folder; it comes home converted and verified."""

__version__ = "0.1.0"
