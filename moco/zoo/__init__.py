"""Bundled models, ready pools and the catalogue of models that can be pulled."""
