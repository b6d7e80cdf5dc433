"""Studies that use the public names of `interp` only: the paper's figures computed again."""
