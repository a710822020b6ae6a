//! Secrets at rest: the key file, sealed values, password records.
