"""Merging as a tool of its own: configs in two forms, the plan, the result with its card."""
