"""The watch over a served model: its sources, its judgements and its actions."""
