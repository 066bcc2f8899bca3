"""The report of a sweep: what its trials scored beside the reference, as tables and as one page with pictures."""
