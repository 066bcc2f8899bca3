"""The registry: versions of models, their files and aliases, the ledger of sweeps, and feedback."""
