//! The administration messages.
