"""The commands, a module each; `tailorbird.cli` puts them together."""
