//! What is logged, where it goes, and the log files.

use super::message::{codes, message};

codes! {
    /// When a log continues in a new file.
    pub enum LogSwitch {
        Never = 0,
        EverySecond = 1,
        EveryMinute = 2,
        EveryHour = 3,
        EveryDay = 4,
        EveryMonth = 5,
    }

    /// How much of a packet is logged.
    pub enum PacketSave {
        Nothing = 0,
        Header = 1,
        Whole = 2,
    }

    /// What is sent to the syslog server.
    pub enum SyslogSave {
        Nothing = 0,
        Server = 1,
        ServerAndSecurity = 2,
        ServerSecurityAndPackets = 3,
    }
}

message! {
    /// The log settings of a hub.
    pub struct HubLog {
        hub_name: hub str "HubName",
        save_security_log: bool "SaveSecurityLog",
        security_log_switch: code LogSwitch "SecurityLogSwitchType",
        save_packet_log: bool "SavePacketLog",
        packet_log_switch: code LogSwitch "PacketLogSwitchType",
        /// Per class of packet, 16 places: TCP connection, TCP data, DHCP, UDP, ICMP, IP, ARP, Ethernet; the rest unused.
        packet_log_config: list code PacketSave "PacketLogConfig",
    }

    /// The syslog server.
    pub struct Syslog {
        save: code SyslogSave "SaveType",
        hostname: str "Hostname",
        port: u32 "Port",
    }

    /// One file in a [`LogFileList`].
    pub struct LogFileRow {
        server_name: str "ServerName",
        file_path: str "FilePath",
        /// Bytes.
        file_size: u32 "FileSize",
        updated_time: time "UpdatedTime",
    }

    /// All log files that the caller may read.
    pub struct LogFileList {
        files: counted LogFileRow "LogFiles",
    }

    /// A piece of a log file. The caller asks again behind what it got until nothing comes.
    pub struct LogPiece {
        server_name: str "ServerName",
        file_path: str "FilePath",
        /// Bytes.
        offset: u32 "Offset",
        /// None at the end, and in requests.
        buffer: optional data "Buffer",
    }
}
