//! The server as a whole: what it is, how it does, its administrator's password, its configuration file.

use super::message::{codes, message};
use super::traffic::Traffic;

codes! {
    /// What a server is to a cluster.
    pub enum ServerType {
        Standalone = 0,
        FarmController = 1,
        FarmMember = 2,
    }
}

message! {
    /// Product, version and operating system.
    pub struct ServerInfo {
        server_product_name: str "ServerProductName",
        server_version_string: str "ServerVersionString",
        server_build_info_string: str "ServerBuildInfoString",
        /// Major * 100 + minor.
        server_ver_int: u32 "ServerVerInt",
        server_build_int: u32 "ServerBuildInt",
        server_host_name: str "ServerHostName",
        server_type: code ServerType "ServerType",
        server_build_date: time "ServerBuildDate",
        server_family_name: str "ServerFamilyName",
        /// 3100 is Linux.
        os_type: u32 "OsType",
        os_service_pack: u32 "OsServicePack",
        os_system_name: str "OsSystemName",
        os_product_name: str "OsProductName",
        os_vendor_name: str "OsVendorName",
        os_version: str "OsVersion",
        kernel_name: str "KernelName",
        kernel_version: str "KernelVersion",
    }

    /// Numbers of things and of bytes.
    pub struct ServerStatus {
        server_type: code ServerType "ServerType",
        num_hub_total: u32 "NumHubTotal",
        num_hub_standalone: u32 "NumHubStandalone",
        num_hub_static: u32 "NumHubStatic",
        num_hub_dynamic: u32 "NumHubDynamic",
        num_sessions_total: u32 "NumSessionsTotal",
        num_sessions_local: u32 "NumSessionsLocal",
        num_sessions_remote: u32 "NumSessionsRemote",
        num_tcp_connections: u32 "NumTcpConnections",
        num_tcp_connections_local: u32 "NumTcpConnectionsLocal",
        num_tcp_connections_remote: u32 "NumTcpConnectionsRemote",
        num_mac_tables: u32 "NumMacTables",
        num_ip_tables: u32 "NumIpTables",
        num_users: u32 "NumUsers",
        num_groups: u32 "NumGroups",
        current_time: time "CurrentTime",
        /// Milliseconds on a clock that never jumps.
        current_tick: u64 "CurrentTick",
        assigned_bridge_licenses: u32 "AssignedBridgeLicenses",
        assigned_client_licenses: u32 "AssignedClientLicenses",
        assigned_bridge_licenses_total: u32 "AssignedBridgeLicensesTotal",
        assigned_client_licenses_total: u32 "AssignedClientLicensesTotal",
        start_time: time "StartTime",
        traffic: flat Traffic "",
        /// Bytes, as are the five that follow; 0 where the system does not say.
        total_memory: u64 "TotalMemory",
        used_memory: u64 "UsedMemory",
        free_memory: u64 "FreeMemory",
        total_phys: u64 "TotalPhys",
        used_phys: u64 "UsedPhys",
        free_phys: u64 "FreePhys",
    }

    /// A new password of the server's administrator, as its hash or, from JSON clients, plain.
    pub struct ServerPassword {
        /// SHA-0 of the password, 20 bytes.
        hashed_password: secret "HashedPassword",
        /// Wins over the hash when it is not empty.
        plain_text_password: password "PlainTextPassword",
    }

    /// What became of a configuration file that was set. Stock servers echo the file.
    pub struct ConfigTaken {
        file_name: str "FileName",
        /// What was taken and what was left, a line each; ours alone.
        report: unistr "Report",
    }

    /// The configuration as one text file.
    pub struct Config {
        file_name: str "FileName",
        /// Holds hashes and keys.
        file_data: secret "FileData",
    }
}
