"""What every checkpoint format raises."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read as what it claims to be; the message names the file."""
