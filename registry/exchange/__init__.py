"""Export and import of versions."""
