//! The tokio shell of the wire: TLS, handshake driver, tunnel pump.
