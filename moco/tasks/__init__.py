"""Data sets, one short file each, and what reads their rows."""
