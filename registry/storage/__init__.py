"""Where the bytes of packages and checkpoints lie: a folder or S3."""
