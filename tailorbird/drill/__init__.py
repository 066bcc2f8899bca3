"""The fire drill: spoiled traffic for an endpoint of its own, and what the monitoring makes of it, beside the truth."""
