"""Training by recipe: resumable to the last bit, one process or several."""
