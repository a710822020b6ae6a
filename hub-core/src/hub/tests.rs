//! The hub's claims, one test each.
