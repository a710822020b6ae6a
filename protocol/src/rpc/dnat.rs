//! Published hosts: rules that lead a port of this machine to a host behind it. Ours; stock servers know no such
//! methods and answer "not supported".

use super::message::{codes, message};

codes! {
    /// The protocol of a published port, by its IP protocol number.
    pub enum DnatProtocol {
        Tcp = 6,
        Udp = 17,
    }
}

message! {
    /// A rule to add, by name.
    pub struct Dnat {
        name: key str "Name",
        protocol: code DnatProtocol "Protocol",
        /// The first published port.
        port_start: u32 "PortStart",
        /// The last; the same for a single port.
        port_end: u32 "PortEnd",
        /// The host behind.
        to_ip_address: ip "ToIpAddress",
        /// Its port for the first published one; the others follow in step.
        to_port: u32 "ToPort",
        /// Who may come; address and mask 0.0.0.0 for everybody.
        src_ip_address: ip "SrcIpAddress",
        src_subnet_mask: ip "SrcSubnetMask",
        /// At which address of this machine; 0.0.0.0 for every.
        dest_ip_address: ip "DestIpAddress",
    }

    /// One rule in a [`DnatList`].
    pub struct DnatRow {
        rule: flat Dnat "",
        /// In force in the kernel.
        active: bool "Active",
        /// New flows that took the rule, and their first packets' bytes.
        packets: u64 "Packets",
        bytes: u64 "Bytes",
        created_time: time "CreatedTime",
        /// Why it is not in force; empty when it is.
        problem: unistr "Problem",
    }

    /// All rules.
    pub struct DnatList {
        rules: counted DnatRow "DnatList",
    }
}
