//! The SoftEther wire, sans-IO.
