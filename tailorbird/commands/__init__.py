"""The commands, one in each module; `tailorbird.cli` combines them."""
