//! The store: every setting of the server, durable before it is acknowledged.
