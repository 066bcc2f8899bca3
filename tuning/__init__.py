"""Tuning: sweeps over run configs on Ray, recorded in the ledger, whose best goes to the registry."""
