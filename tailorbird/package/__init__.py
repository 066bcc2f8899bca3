"""The files of a package, one module for each that is not opaque bytes: there alone it is written, read and checked."""
