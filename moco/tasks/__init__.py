"""Data sets, one short file each, and the answer parser."""
