"""The report of a sweep: results and references of its trials, as tables and as a page with plots."""
