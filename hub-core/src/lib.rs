//! The virtual hub: a deterministic learning switch.
