"""The watch over a served model: what it reads, what it makes of it, what it does."""
