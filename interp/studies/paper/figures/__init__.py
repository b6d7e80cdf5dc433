"""A file for each question of the paper; `rows.toml` says which function computes which figure."""
