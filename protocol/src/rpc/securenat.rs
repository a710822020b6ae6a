//! SecureNAT of a hub: virtual host, NAT and DHCP server.

use super::message::{codes, message};

codes! {
    /// The protocol of a NAT session.
    pub enum NatProtocol {
        Tcp = 0,
        Udp = 1,
        Dns = 2,
        Icmp = 3,
    }

    /// How far the TCP connection of a NAT session has come.
    pub enum NatTcpState {
        Connecting = 0,
        /// Failed or closed; the client is told with RST.
        Resetting = 1,
        Connected = 2,
        Established = 3,
        Closing = 4,
    }
}

message! {
    /// Which hub; here the wire calls it differently.
    pub struct SecureNatRequest {
        hub_name: hub str "RpcHubName",
    }

    /// All settings. `SetSecureNATOption` writes all of them, so change one by reading first.
    pub struct SecureNatOption {
        hub_name: hub str "RpcHubName",
        mac_address: mac "MacAddress",
        ip: ip "Ip",
        mask: ip "Mask",
        use_nat: bool "UseNat",
        /// Bytes.
        mtu: u32 "Mtu",
        /// Seconds.
        nat_tcp_timeout: u32 "NatTcpTimeout",
        /// Seconds.
        nat_udp_timeout: u32 "NatUdpTimeout",
        use_dhcp: bool "UseDhcp",
        dhcp_lease_ip_start: ip "DhcpLeaseIPStart",
        dhcp_lease_ip_end: ip "DhcpLeaseIPEnd",
        dhcp_subnet_mask: ip "DhcpSubnetMask",
        /// Seconds.
        dhcp_expire_time_span: u32 "DhcpExpireTimeSpan",
        /// 0.0.0.0 for none, as for the two that follow.
        dhcp_gateway_address: ip "DhcpGatewayAddress",
        dhcp_dns_server_address: ip "DhcpDnsServerAddress",
        dhcp_dns_server_address2: ip "DhcpDnsServerAddress2",
        dhcp_domain_name: str "DhcpDomainName",
        save_log: bool "SaveLog",
        /// `dhcp_push_routes` is meant; otherwise they stay as they are.
        apply_dhcp_push_routes: bool "ApplyDhcpPushRoutes",
        /// `network/mask/gateway`, separated by comma, semicolon or blank.
        dhcp_push_routes: str "DhcpPushRoutes",
        /// Ours: addresses kept for one client each, `address=holder` separated by commas, where the holder is a MAC address
        /// or a user. Left out, they stay as they are.
        dhcp_reservations: optional str "DhcpReservations",
    }

    /// An address of the DHCP server that is kept for one client. Ours; stock servers know no such methods and answer "not
    /// supported".
    pub struct DhcpReservation {
        hub_name: hub str "HubName",
        ip_address: key ip "IpAddress",
        /// Whose it is; zero when it is a user's.
        mac_address: mac "MacAddress",
        /// The user whose it is, wherever that user's session comes from; empty when it is a MAC address'.
        user_name: str "UserName",
    }

    /// One reservation in a [`DhcpReservationList`].
    pub struct DhcpReservationRow {
        ip_address: ip "IpAddress",
        mac_address: mac "MacAddress",
        user_name: str "UserName",
        /// Leased now, and to which MAC address.
        leased: bool "Leased",
        leased_to: mac "LeasedTo",
        /// Why it is not in force; empty when it is.
        problem: unistr "Problem",
    }

    /// All reservations of a hub by address.
    pub struct DhcpReservationList {
        hub_name: hub str "HubName",
        reservations: counted DhcpReservationRow "ReservationList",
    }

    /// Counters.
    pub struct SecureNatStatus {
        hub_name: hub str "HubName",
        num_tcp_sessions: u32 "NumTcpSessions",
        num_udp_sessions: u32 "NumUdpSessions",
        num_icmp_sessions: u32 "NumIcmpSessions",
        num_dns_sessions: u32 "NumDnsSessions",
        num_dhcp_clients: u32 "NumDhcpClients",
        is_kernel_mode: bool "IsKernelMode",
        is_raw_ip_mode: bool "IsRawIpMode",
        /// Ours, as those that follow: addresses of the DHCP server's pool, and those that a new client can get now.
        num_dhcp_addresses: optional u32 "NumDhcpAddresses",
        num_dhcp_available: optional u32 "NumDhcpAvailable",
        /// Addresses left alone because somebody uses them without a lease.
        num_dhcp_set_aside: optional u32 "NumDhcpSetAside",
        /// Addresses kept for one client each.
        num_dhcp_reserved: optional u32 "NumDhcpReserved",
        /// Requests that found the pool used up; 0 while it is not.
        num_dhcp_turned_away: optional u64 "NumDhcpTurnedAway",
    }

    /// IPv6 of SecureNAT. Ours; stock servers know no such methods and answer "not supported".
    pub struct SecureNatIpv6 {
        hub_name: hub str "HubName",
        /// The virtual host announces itself as an IPv6 router.
        enabled: bool "Enabled",
        /// The /64 network of the hub; empty or `auto` for the one that was made for it.
        prefix: str "Prefix",
        /// Addresses with commas between, `auto` or empty for the virtual host, or `none`.
        name_servers: str "NameServers",
        /// Seconds after an advertisement; 0 for the default, as for the next.
        preferred_lifetime: u32 "PreferredLifetime",
        /// Seconds after an advertisement.
        valid_lifetime: u32 "ValidLifetime",
        /// The virtual host's address; only in answers, as the next.
        address: str "Address",
        /// What it does at the moment.
        status: str "Status",
    }

    /// One session in a [`NatTable`].
    pub struct NatRow {
        id: u32 "Id",
        protocol: code NatProtocol "Protocol",
        src_ip: ip "SrcIp",
        src_host: str "SrcHost",
        src_port: u32 "SrcPort",
        dest_ip: ip "DestIp",
        dest_host: str "DestHost",
        dest_port: u32 "DestPort",
        created_time: time "CreatedTime",
        last_comm_time: time "LastCommTime",
        /// Bytes.
        send_size: u64 "SendSize",
        /// Bytes.
        recv_size: u64 "RecvSize",
        tcp_state: code NatTcpState "TcpStatus",
    }

    /// All NAT sessions.
    pub struct NatTable {
        hub_name: hub str "HubName",
        sessions: counted NatRow "NatTable",
    }

    /// One lease in a [`DhcpTable`].
    pub struct DhcpRow {
        id: u32 "Id",
        leased_time: time "LeasedTime",
        expire_time: time "ExpireTime",
        mac_address: mac "MacAddress",
        ip_address: ip "IpAddress",
        /// IPv4, first octet lowest.
        mask: u32 "Mask",
        hostname: str "Hostname",
    }

    /// All leases.
    pub struct DhcpTable {
        hub_name: hub str "HubName",
        leases: counted DhcpRow "DhcpTable",
    }
}
