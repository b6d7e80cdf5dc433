"""What is asked of a model, one question a file."""
