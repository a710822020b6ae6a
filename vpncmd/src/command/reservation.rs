//! Addresses that the DHCP server of SecureNAT keeps for one client each.

use std::net::{IpAddr, Ipv4Addr};

use protocol::{
    error::ErrorCode,
    rpc::{
        HubRequest,
        method::{AddDhcpReservation, DeleteDhcpReservation, EnumDhcpReservation},
        securenat::{DhcpReservation, DhcpReservationRow},
    },
};

use crate::{
    check,
    command::{Command, Scope},
    failure::{Failure, Outcome},
    names::Names,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "DhcpReserveAdd",
        title: "Keep an address for one client",
        help: "Has the DHCP server give an address to one client and to nobody else, from its next request on. The address \
               is one of the clients' network, in the pool or beside it.\n\
               The client is named by its MAC address, or by the user whose session it is behind: then the user has the \
               address with every device, one at a time.\n\
               DhcpReserveAdd 192.168.30.50 /USER:alice keeps an address for a user.",
        params: &[
            Param::word("ip", "The address.")
                .ask("IP Address: ")
                .check(check::ipv4),
            Param::named("MAC", "The client's MAC address.").check(mac_or_none),
            Param::named("USER", "Or the user whose client it is.").of(Names::User),
        ],
        scope: Scope::Hub,
        run: add,
    },
    Command {
        name: "DhcpReserveDelete",
        title: "Keep an address for a client no longer",
        help: "Deletes a reservation. A lease of it lives on until it ends.",
        params: &[Param::word(
            "ip",
            "The address, or the MAC address or user that it is kept for.",
        )
        .ask("IP Address, MAC Address or User: ")
        .check(check::not_empty)],
        scope: Scope::Hub,
        run: delete,
    },
    Command {
        name: "DhcpReserveList",
        title: "List the addresses that are kept for clients",
        help: "Lists which address is kept for whom, and who has it now.",
        params: &[],
        scope: Scope::Hub,
        run: list,
    },
];

fn mac_or_none(value: &str) -> Result<(), String> {
    if value.is_empty() {
        Ok(())
    } else {
        check::mac(value)
    }
}

fn load(shell: &mut Shell) -> Outcome<Vec<DhcpReservationRow>> {
    let hub_name = shell.hub_name();
    let list = shell.call::<EnumDhcpReservation>(&HubRequest { hub_name })?;
    Ok(list.reservations)
}

fn add(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mac_address = text::parse_mac(arguments.text("MAC")).unwrap_or_default();
    let user_name = arguments.text("USER").to_owned();
    if (mac_address == [0; 6]) == user_name.is_empty() {
        return Err(Failure::Invalid(
            "Say whose the address is: /MAC:address, or /USER:name.".to_owned(),
        ));
    }
    let wanted = DhcpReservation {
        hub_name: shell.hub_name(),
        ip_address: super::securenat::address(arguments, "ip"),
        mac_address,
        user_name,
    };
    match shell.call::<AddDhcpReservation>(&wanted) {
        Ok(_) => Ok(()),
        Err(Failure::Refused(code)) => Err(explained(shell, &wanted, code)),
        Err(other) => Err(other),
    }
}

/// What stands in the way of a reservation, by name.
fn explained(shell: &mut Shell, wanted: &DhcpReservation, code: ErrorCode) -> Failure {
    let text = match code {
        ErrorCode::ObjectExists => {
            let rows = load(shell).unwrap_or_default();
            rows.iter().find_map(|row| clash(row, wanted))
        }
        ErrorCode::InvalidParameter => Some(format!(
            "{} cannot be reserved: it has to be a host address of the clients' network, and not that of the virtual host, \
             the gateway or a name server. DhcpGet and SecureNatHostGet show them.",
            wanted.ip_address
        )),
        ErrorCode::ObjectNotFound if !wanted.user_name.is_empty() => Some(format!(
            "There is no user \"{}\". UserList shows all of them.",
            wanted.user_name
        )),
        _ => None,
    };
    match text {
        Some(text) => Failure::Failed { code, text },
        None => Failure::Refused(code),
    }
}

fn clash(row: &DhcpReservationRow, wanted: &DhcpReservation) -> Option<String> {
    let delete = format!("DhcpReserveDelete {} gives it up.", row.ip_address);
    if row.ip_address == wanted.ip_address {
        return Some(format!(
            "{} is reserved for {} already. {delete}",
            row.ip_address,
            holder(row)
        ));
    }
    let same_mac = wanted.user_name.is_empty() && row.mac_address == wanted.mac_address;
    let same_user = !wanted.user_name.is_empty() && row.user_name.eq_ignore_ascii_case(&wanted.user_name);
    (same_mac || same_user).then(|| {
        format!(
            "{} has {} reserved already. {delete}",
            holder(row),
            row.ip_address
        )
    })
}

fn holder(row: &DhcpReservationRow) -> String {
    if row.user_name.is_empty() {
        text::mac(&row.mac_address)
    } else {
        format!("the user {}", row.user_name)
    }
}

/// An address is taken as it is; what names a client is looked up.
fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let given = arguments.text("ip");
    let ip_address = match given.parse::<Ipv4Addr>() {
        Ok(ip) => IpAddr::V4(ip),
        Err(_) => {
            let mac = text::parse_mac(given);
            let is_meant = |row: &DhcpReservationRow| match row.user_name.as_str() {
                "" => mac == Some(row.mac_address),
                user => user.eq_ignore_ascii_case(given),
            };
            let rows = load(shell)?;
            rows.iter()
                .find(|row| is_meant(row))
                .ok_or(ErrorCode::ObjectNotFound)?
                .ip_address
        }
    };
    let request = DhcpReservation {
        hub_name: shell.hub_name(),
        ip_address,
        ..DhcpReservation::default()
    };
    shell.call::<DeleteDhcpReservation>(&request).map(drop)
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let list = shell.call::<EnumDhcpReservation>(&HubRequest { hub_name })?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["IP Address", "MAC Address", "User Name", "State"]);
    for row in list.reservations {
        let state = match (row.problem.is_empty(), row.leased) {
            (false, _) => format!("Not in force: {}", row.problem),
            (true, true) => format!("Leased to {}", text::mac(&row.leased_to)),
            (true, false) => "Free".to_owned(),
        };
        let mac = match row.user_name.is_empty() {
            true => text::mac(&row.mac_address),
            false => String::new(),
        };
        table.row([row.ip_address.to_string(), mac, row.user_name, state]);
    }
    shell.console.table(&table);
    Ok(())
}
