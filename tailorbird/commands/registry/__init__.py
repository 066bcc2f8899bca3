"""`tailorbird registry`: the versions of models, their aliases and their files."""
