//! A load generator: thousands of sessions on one server, ours or the stock one, over the wire that both speak.
//!
//! A [`client::Client`] is as little as a session needs: one TLS connection that logs in with a password, answers nothing, sends its
//! keep-alives and throws away what comes. Hosts of the laboratory hold servers; the sessions run on the network of the
//! server's own host, from many source addresses, as a server meets many sources.

pub mod client;
pub mod crowd;
pub mod figures;
pub mod probe;
pub mod report;
pub mod request;
pub mod server;
