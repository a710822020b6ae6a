//! Administration: one handler per message of the admin RPC.
