//! SecureNAT and published hosts.
