"""What the commands do; `moco.cli` only declares them."""
