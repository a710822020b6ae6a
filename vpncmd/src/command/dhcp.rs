//! The DHCP server of SecureNAT.

use protocol::rpc::{HubRequest, method::EnumDHCP};

use crate::{
    check,
    command::{
        Command, Scope,
        securenat::{LOG, address, change, load},
    },
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "DhcpGet",
        title: "Show the settings of the DHCP server",
        help: "Shows whether the virtual host gives addresses by DHCP, and what it tells the clients.",
        params: &[],
        scope: Scope::Hub,
        run: get,
    },
    Command {
        name: "DhcpEnable",
        title: "Switch the DHCP server of SecureNAT on",
        help: "Has the virtual host give addresses, as long as SecureNAT itself is on.",
        params: &[],
        scope: Scope::Hub,
        run: enable,
    },
    Command {
        name: "DhcpDisable",
        title: "Switch the DHCP server of SecureNAT off",
        help: "Leaves SecureNAT with its NAT alone.",
        params: &[],
        scope: Scope::Hub,
        run: disable,
    },
    Command {
        name: "DhcpSet",
        title: "Set the settings of the DHCP server",
        help: "Sets the pool of addresses, how long a lease lasts, and what clients are told with it. A gateway or \
               DNS server that is none is not told.\nRoutes are written network/mask/gateway, separated by commas, \
               such as 10.0.1.0/255.255.255.0/192.168.30.1: clients then send the traffic for those networks alone \
               into the VPN. Without /PUSHROUTE they stay as they are.",
        params: &[
            Param::named("START", "The first address of the pool.")
                .ask("Start Point for Distributed Address Band: ")
                .check(check::ipv4),
            Param::named("END", "The last address of the pool.")
                .ask("End Point for Distributed Address Band: ")
                .check(check::ipv4),
            Param::named("MASK", "The subnet mask.")
                .ask("Subnet Mask: ")
                .check(check::ipv4),
            Param::named("EXPIRE", "How long a lease lasts: seconds, 10 to 2000000.")
                .ask("Lease Limit (Seconds): ")
                .check(check::dhcp_lease),
            Param::named("GW", "The default gateway, or none.")
                .ask("Default Gateway ('none' to not set this): ")
                .check(check::ipv4_or_none),
            Param::named("DNS", "The first DNS server, or none.")
                .ask("DNS Server 1 ('none' to not set this): ")
                .check(check::ipv4_or_none),
            Param::named("DNS2", "The second DNS server, or none.")
                .ask("DNS Server 2 ('none' to not set this): ")
                .check(check::ipv4_or_none),
            Param::named("DOMAIN", "The domain name, or none.").ask("Domain name: "),
            LOG,
            Param::named("PUSHROUTE", "Routes for the clients."),
        ],
        scope: Scope::Hub,
        run: set,
    },
    Command {
        name: "DhcpTable",
        title: "List the leases of the DHCP server",
        help: "Lists which addresses have been given to whom, and until when.",
        params: &[],
        scope: Scope::Hub,
        run: table,
    },
];

fn get(shell: &mut Shell, _: &Arguments) -> Outcome {
    let option = load(shell)?;
    if shell.json(&option) {
        return Ok(());
    }
    let or_none = |address: std::net::IpAddr| {
        if address.is_unspecified() {
            "None".to_owned()
        } else {
            address.to_string()
        }
    };
    let mut table = Table::items();
    table
        .item("Use Virtual DHCP Function", text::yes_no(option.use_dhcp))
        .item(
            "Start Distribution Address Band",
            option.dhcp_lease_ip_start.to_string(),
        )
        .item(
            "End Distribution Address Band",
            option.dhcp_lease_ip_end.to_string(),
        )
        .item("Subnet Mask", option.dhcp_subnet_mask.to_string())
        .item("Lease Limit (Seconds)", option.dhcp_expire_time_span.to_string())
        .item("Default Gateway Address", or_none(option.dhcp_gateway_address))
        .item("DNS Server Address 1", or_none(option.dhcp_dns_server_address))
        .item("DNS Server Address 2", or_none(option.dhcp_dns_server_address2))
        .item("Domain Name", option.dhcp_domain_name)
        .item("Save NAT and DHCP Operation Log", text::yes_no(option.save_log))
        .item("Static Routing Table to Push", option.dhcp_push_routes);
    shell.console.table(&table);
    Ok(())
}

fn enable(shell: &mut Shell, _: &Arguments) -> Outcome {
    change(shell, |option| {
        option.use_dhcp = true;
        Ok(())
    })
}

fn disable(shell: &mut Shell, _: &Arguments) -> Outcome {
    change(shell, |option| {
        option.use_dhcp = false;
        Ok(())
    })
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, |option| {
        option.dhcp_lease_ip_start = address(arguments, "START");
        option.dhcp_lease_ip_end = address(arguments, "END");
        option.dhcp_subnet_mask = address(arguments, "MASK");
        option.dhcp_expire_time_span = arguments.number("EXPIRE");
        option.dhcp_gateway_address = address(arguments, "GW");
        option.dhcp_dns_server_address = address(arguments, "DNS");
        option.dhcp_dns_server_address2 = address(arguments, "DNS2");
        option.dhcp_domain_name = arguments.text("DOMAIN").to_owned();
        option.save_log = arguments.yes("LOG");
        option.apply_dhcp_push_routes = arguments.given("PUSHROUTE").is_some();
        if let Some(routes) = arguments.given("PUSHROUTE") {
            option.dhcp_push_routes = routes.to_owned();
        }
        Ok(())
    })
}

fn table(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let leases = shell.call::<EnumDHCP>(&HubRequest { hub_name })?;
    if shell.json(&leases) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "ID",
        "Leased at",
        "Expires at",
        "MAC Address",
        "Allocated IP",
        "Client Host Name",
    ]);
    for lease in leases.leases {
        table.row([
            lease.id.to_string(),
            shell.calendar.long(lease.leased_time),
            shell.calendar.long(lease.expire_time),
            text::mac(&lease.mac_address),
            lease.ip_address.to_string(),
            lease.hostname,
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}
