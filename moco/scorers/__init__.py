"""Scorers, one file each: from a prediction and a target to a score."""
