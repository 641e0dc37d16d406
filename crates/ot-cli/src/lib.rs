//! The command line `ot`: optimal transport from arrays on disk.
