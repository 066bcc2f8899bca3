"""Databases: SQLite or PostgreSQL."""
