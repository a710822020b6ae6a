//! End-to-end, interop, architecture and replay tests.
