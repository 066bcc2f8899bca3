"""Storage of packages and checkpoints: a folder or S3."""
