//! SecureNAT of a hub: the switch, the virtual host, and its NAT.

use std::net::{IpAddr, Ipv4Addr};

use protocol::rpc::{
    HubRequest,
    method::{
        DisableSecureNAT, EnableSecureNAT, EnumNAT, GetSecureNATOption, GetSecureNATStatus,
        SetSecureNATOption,
    },
    securenat::{NatProtocol, NatTcpState, SecureNatOption, SecureNatRequest},
};

use crate::{
    check,
    command::{Command, Scope},
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

pub(super) const LOG: Param = Param::named("LOG", "Whether NAT sessions and leases are logged: yes or no.")
    .ask("Save Log (yes / no): ")
    .check(check::not_empty);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SecureNatEnable",
        title: "Switch SecureNAT on",
        help: "Puts a virtual host into the hub that gives the hub's users addresses by DHCP and leads them out to \
               the server's network by NAT. Only one DHCP server should be in a hub.",
        params: &[],
        scope: Scope::Hub,
        run: enable,
    },
    Command {
        name: "SecureNatDisable",
        title: "Switch SecureNAT off",
        help: "Takes the virtual host out of the hub. Its settings are kept.",
        params: &[],
        scope: Scope::Hub,
        run: disable,
    },
    Command {
        name: "SecureNatStatusGet",
        title: "Show what SecureNAT is doing",
        help: "Shows how many NAT sessions and leases there are, and in which mode the NAT works.",
        params: &[],
        scope: Scope::Hub,
        run: status,
    },
    Command {
        name: "SecureNatHostGet",
        title: "Show the addresses of the virtual host",
        help: "Shows the MAC address, IP address and mask that the virtual host has in the hub.",
        params: &[],
        scope: Scope::Hub,
        run: host,
    },
    Command {
        name: "SecureNatHostSet",
        title: "Set the addresses of the virtual host",
        help: "Sets the MAC address, IP address and mask that the virtual host has in the hub. The pool of the DHCP \
               server does not move along: see DhcpSet.",
        params: &[
            Param::named("MAC", "The MAC address.")
                .ask("MAC Address: ")
                .check(check::mac),
            Param::named("IP", "The IPv4 address.")
                .ask("IP Address: ")
                .check(check::ipv4),
            Param::named("MASK", "The subnet mask.")
                .ask("Subnet Mask: ")
                .check(check::ipv4),
        ],
        scope: Scope::Hub,
        run: set_host,
    },
    Command {
        name: "NatGet",
        title: "Show the settings of the NAT",
        help: "Shows whether the virtual host does NAT, its MTU, and when it forgets silent sessions.",
        params: &[],
        scope: Scope::Hub,
        run: nat,
    },
    Command {
        name: "NatSet",
        title: "Set the settings of the NAT",
        help: "Sets the MTU of the NAT and the times after which it forgets silent sessions.",
        params: &[
            Param::named("MTU", "Bytes of an IP packet, 62 to 1500.")
                .ask("MTU Value: ")
                .check(check::nat_mtu),
            Param::named("TCPTIMEOUT", "Seconds, 60 to 2000000.")
                .ask("TCP Session Timeout (Seconds): ")
                .check(check::nat_tcp_timeout),
            Param::named("UDPTIMEOUT", "Seconds, 10 to 2000000.")
                .ask("UDP Session Timeout (Seconds): ")
                .check(check::nat_udp_timeout),
            LOG,
        ],
        scope: Scope::Hub,
        run: set_nat,
    },
    Command {
        name: "NatEnable",
        title: "Switch the NAT of SecureNAT on",
        help: "Has the virtual host lead the hub's users out, as long as SecureNAT itself is on.",
        params: &[],
        scope: Scope::Hub,
        run: enable_nat,
    },
    Command {
        name: "NatDisable",
        title: "Switch the NAT of SecureNAT off",
        help: "Leaves SecureNAT with its DHCP server alone.",
        params: &[],
        scope: Scope::Hub,
        run: disable_nat,
    },
    Command {
        name: "NatTable",
        title: "List the sessions of the NAT",
        help: "Lists who talks to whom through the NAT, since when, and how much.",
        params: &[],
        scope: Scope::Hub,
        run: nat_table,
    },
];

/// The settings of the selected hub's SecureNAT.
pub(super) fn load(shell: &mut Shell) -> Outcome<SecureNatOption> {
    let hub_name = shell.hub_name();
    shell.call::<GetSecureNATOption>(&SecureNatRequest { hub_name })
}

/// Changes some of the settings and leaves the others.
pub(super) fn change(shell: &mut Shell, change: impl FnOnce(&mut SecureNatOption) -> Outcome) -> Outcome {
    let mut option = load(shell)?;
    option.hub_name = shell.hub_name();
    // They have commands of their own, and somebody may be using them just now.
    option.dhcp_reservations = None;
    change(&mut option)?;
    shell.call::<SetSecureNATOption>(&option)?;
    Ok(())
}

/// The IPv4 address of a checked parameter; 0.0.0.0 when it is empty.
pub(super) fn address(arguments: &Arguments, name: &str) -> IpAddr {
    IpAddr::V4(arguments.text(name).parse().unwrap_or(Ipv4Addr::UNSPECIFIED))
}

fn request(shell: &Shell) -> HubRequest {
    HubRequest {
        hub_name: shell.hub_name(),
    }
}

fn enable(shell: &mut Shell, _: &Arguments) -> Outcome {
    let request = request(shell);
    shell.call::<EnableSecureNAT>(&request)?;
    Ok(())
}

fn disable(shell: &mut Shell, _: &Arguments) -> Outcome {
    let request = request(shell);
    shell.call::<DisableSecureNAT>(&request)?;
    Ok(())
}

fn status(shell: &mut Shell, _: &Arguments) -> Outcome {
    let request = request(shell);
    let status = shell.call::<GetSecureNATStatus>(&request)?;
    if shell.json(&status) {
        return Ok(());
    }
    let sessions = |number: u32| format!("{} Session", text::thousands(u64::from(number)));
    let mut table = Table::items();
    table
        .item("Virtual Hub Name", status.hub_name)
        .item("NAT TCP/IP Sessions", sessions(status.num_tcp_sessions))
        .item("NAT UDP/IP Sessions", sessions(status.num_udp_sessions))
        .item("NAT ICMP Sessions", sessions(status.num_icmp_sessions))
        .item("NAT DNS Sessions", sessions(status.num_dns_sessions))
        .item(
            "Allocated DHCP Clients",
            format!("{} Client", text::thousands(u64::from(status.num_dhcp_clients))),
        )
        .item("Kernel-mode NAT is Active", text::yes_no(status.is_kernel_mode))
        .item("Raw IP mode NAT is Active", text::yes_no(status.is_raw_ip_mode));
    // Ours tells more.
    let numbers = [
        ("DHCP Pool Addresses", status.num_dhcp_addresses),
        ("DHCP Addresses Available", status.num_dhcp_available),
        ("DHCP Addresses in Use without a Lease", status.num_dhcp_set_aside),
        ("DHCP Reservations", status.num_dhcp_reserved),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            table.item(name, text::thousands(u64::from(number)));
        }
    }
    if let Some(requests @ 1..) = status.num_dhcp_turned_away {
        let requests = text::thousands(requests);
        table.item(
            "DHCP Pool is Exhausted",
            format!("Yes ({requests} requests were not answered)"),
        );
    }
    shell.console.table(&table);
    Ok(())
}

fn host(shell: &mut Shell, _: &Arguments) -> Outcome {
    let option = load(shell)?;
    if shell.json(&option) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item("MAC Address", text::mac(&option.mac_address))
        .item("IP Address", option.ip.to_string())
        .item("Subnet Mask", option.mask.to_string());
    shell.console.table(&table);
    Ok(())
}

fn set_host(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mac = text::parse_mac(arguments.text("MAC"))
        .ok_or_else(|| Failure::Invalid("The MAC address is none.".to_owned()))?;
    change(shell, |option| {
        option.mac_address = mac;
        option.ip = address(arguments, "IP");
        option.mask = address(arguments, "MASK");
        Ok(())
    })
}

fn nat(shell: &mut Shell, _: &Arguments) -> Outcome {
    let option = load(shell)?;
    if shell.json(&option) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item("Use Virtual NAT Function", text::yes_no(option.use_nat))
        .item("MTU Value", option.mtu.to_string())
        .item(
            "TCP Session Timeout (Seconds)",
            option.nat_tcp_timeout.to_string(),
        )
        .item(
            "UDP Session Timeout (Seconds)",
            option.nat_udp_timeout.to_string(),
        )
        .item("Save NAT and DHCP Operation Log", text::yes_no(option.save_log));
    shell.console.table(&table);
    Ok(())
}

fn set_nat(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, |option| {
        option.mtu = arguments.number("MTU");
        option.nat_tcp_timeout = arguments.number("TCPTIMEOUT");
        option.nat_udp_timeout = arguments.number("UDPTIMEOUT");
        option.save_log = arguments.yes("LOG");
        Ok(())
    })
}

fn enable_nat(shell: &mut Shell, _: &Arguments) -> Outcome {
    change(shell, |option| {
        option.use_nat = true;
        Ok(())
    })
}

fn disable_nat(shell: &mut Shell, _: &Arguments) -> Outcome {
    change(shell, |option| {
        option.use_nat = false;
        Ok(())
    })
}

fn nat_table(shell: &mut Shell, _: &Arguments) -> Outcome {
    let request = request(shell);
    let sessions = shell.call::<EnumNAT>(&request)?;
    if shell.json(&sessions) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "ID",
        "Protocol",
        "Source Host",
        "Source Port",
        "Destination Host",
        "Destination Port",
        "Session Created On",
        "Last Communication Time",
        "Receive / Send Size",
        "TCP Connection Status",
    ]);
    for row in sessions.sessions {
        let state = if row.protocol == NatProtocol::Tcp {
            tcp_state(row.tcp_state)
        } else {
            String::new()
        };
        table.row([
            row.id.to_string(),
            protocol_text(row.protocol),
            row.src_host,
            row.src_port.to_string(),
            row.dest_host,
            row.dest_port.to_string(),
            shell.calendar.long(row.created_time),
            shell.calendar.long(row.last_comm_time),
            format!(
                "{} / {}",
                text::thousands(row.recv_size),
                text::thousands(row.send_size)
            ),
            state,
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn protocol_text(protocol: NatProtocol) -> String {
    match protocol {
        NatProtocol::Tcp => "TCP/IP".to_owned(),
        NatProtocol::Udp => "UDP/IP".to_owned(),
        NatProtocol::Dns => "DNS".to_owned(),
        NatProtocol::Icmp => "ICMP".to_owned(),
        NatProtocol::Other(number) => number.to_string(),
    }
}

fn tcp_state(state: NatTcpState) -> String {
    match state {
        NatTcpState::Connecting => "Connecting".to_owned(),
        NatTcpState::Resetting => "Resetting".to_owned(),
        NatTcpState::Connected => "Connected".to_owned(),
        NatTcpState::Established => "Running".to_owned(),
        NatTcpState::Closing => "Closing".to_owned(),
        NatTcpState::Other(number) => number.to_string(),
    }
}
