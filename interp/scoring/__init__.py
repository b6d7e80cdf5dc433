"""From a model and a task to scores of its layers against reference algorithms."""
