"""The broker room: owns every item's status; one thread."""
