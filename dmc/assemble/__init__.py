"""Puts the rooms together from their settings: the one place that picks variants of seams."""
