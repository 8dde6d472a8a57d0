"""The front door: one file per noun of the command line."""
