"""Arithmetic on weights: streaming readers and writers, adapters in delta space, GGUF files."""
