"""The files of a package; each that is not opaque is written, read and validated in a module of its own."""
