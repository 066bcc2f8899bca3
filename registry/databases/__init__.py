"""Where the rows lie: SQLite or PostgreSQL."""
