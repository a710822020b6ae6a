//! Published hosts: rules that lead a port of this machine to a host behind it. Ours; stock servers know no such
//! methods and answer "not supported".

use super::message::{codes, message};

codes! {
    /// The protocols of a published port, by their IP protocol numbers.
    pub enum DnatProtocol {
        Tcp = 6,
        Udp = 17,
        /// Both; no IP protocol has the number.
        TcpAndUdp = 256,
    }

    /// How it is looked whether the host behind answers.
    pub enum DnatCheck {
        /// Not at all.
        None = 0,
        /// By opening a TCP connection.
        Tcp = 1,
    }
}

message! {
    /// A rule, by name.
    pub struct Dnat {
        name: key str "Name",
        protocol: code DnatProtocol "Protocol",
        /// The first published port.
        port_start: u32 "PortStart",
        /// The last; the same for a single port.
        port_end: u32 "PortEnd",
        /// The host behind.
        to_ip_address: ip "ToIpAddress",
        /// Its port for the first published one, the others follow in step; 0 to keep the numbers.
        to_port: u32 "ToPort",
        /// Networks whose hosts may come, with commas between; empty for everybody.
        sources: str "Sources",
        /// At which address of this machine; 0.0.0.0 for every.
        dest_ip_address: ip "DestIpAddress",
        /// The group whose members alone may come, as HUB/GROUP; empty for everybody.
        group: str "Group",
        /// The name by which clients of hubs find it; empty for none.
        host_name: str "HostName",
        check: code DnatCheck "Check",
        /// Seconds between two looks; 0 for 30.
        check_interval: u32 "CheckInterval",
        /// Seconds that the host behind may take to answer; 0 for 3.
        check_timeout: u32 "CheckTimeout",
        /// Kept, and not in force.
        disabled: bool "Disabled",
    }

    /// A rule to enable or disable.
    pub struct DnatSwitch {
        name: key str "Name",
        enable: bool "Enable",
    }

    /// What is to be said about a rule before it is added or changed.
    pub struct DnatVerdict {
        /// Why it would be refused; empty when it would not.
        refusal: unistr "Refusal",
    }

    /// One rule in a [`DnatList`].
    pub struct DnatRow {
        rule: flat Dnat "",
        /// In force.
        active: bool "Active",
        /// Connections that took the rule.
        flows: u64 "Flows",
        /// Their packets and bytes in both directions.
        packets: u64 "Packets",
        bytes: u64 "Bytes",
        /// Why it is not in force; empty when it is.
        problem: unistr "Problem",
        /// Whether the host behind answers; empty when nobody looks.
        health: unistr "Health",
    }

    /// All rules.
    pub struct DnatList {
        rules: counted DnatRow "DnatList",
    }
}
