//! Traffic that keeps the server's own Internet line alive.

use super::message::{codes, message};

codes! {
    /// What is sent.
    pub enum KeepProtocol {
        Tcp = 0,
        Udp = 1,
    }
}

message! {
    /// Where to and how often.
    pub struct Keep {
        enabled: bool "UseKeepConnect",
        host: str "KeepConnectHost",
        port: u32 "KeepConnectPort",
        protocol: code KeepProtocol "KeepConnectProtocol",
        /// Seconds.
        interval: u32 "KeepConnectInterval",
    }
}
