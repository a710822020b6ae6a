//! From a wish to the calls that bring it about, each with the commands of `vpncmd` that would do the same.

use std::net::{IpAddr, Ipv4Addr};

use protocol::pack::Pack;
use protocol::rpc::bridge::LocalBridge;
use protocol::rpc::dnat::{Dnat, DnatProtocol};
use protocol::rpc::hub::{HubSettings, HubType};
use protocol::rpc::listener::Listener;
use protocol::rpc::method::{
    self, AddDnat, AddLocalBridge, CreateHub, CreateListener, CreateUser, DeleteDnat, DeleteHub,
    DeleteListener, DeleteLocalBridge, DeleteUser, DisableSecureNAT, EnableSecureNAT, GetSecureNATOption,
    SetSecureNATOption, SetServerPassword,
};
use protocol::rpc::securenat::{SecureNatOption, SecureNatRequest};
use protocol::rpc::server::ServerPassword;
use protocol::rpc::user::{AuthType, User};
use protocol::rpc::{HubObject, HubRequest, Named};

use super::SetupError;
use super::present::Present;
use super::wish::{Network, Published, TapAddress, Wish};
use crate::store::HubName;

/// Seconds for which the DHCP server beside a TAP device gives an address.
const LEASE: u32 = 7200;
/// The number of its first address in the network.
const FIRST_LEASE: u32 = 10;

/// One call.
pub(super) struct Step {
    /// What somebody would type for it; passwords are asked for then.
    pub(super) commands: Vec<String>,
    pub(super) call: Pack,
    /// What takes it back.
    pub(super) undo: Undo,
}

/// What takes a call back.
pub(super) enum Undo {
    /// Nothing: it is the last one.
    None,
    /// Another call.
    Call(Pack),
    /// The same call with what this one answers before.
    Former(Pack),
}

/// What is missing, in the order in which it has to be made. The administrator password comes last: it opens the server to the
/// network.
pub(super) fn steps(wish: &Wish, present: &Present) -> Result<Vec<Step>, SetupError> {
    let mut steps = Vec::new();
    let hub = &wish.hub;
    if !present.has_hub(hub)? {
        steps.push(create_hub(hub));
    }
    if let Some((name, Some(password))) = &wish.user {
        steps.push(create_user(hub, name.as_str(), &password.text));
    }
    match &wish.network {
        Network::AsItIs => {}
        Network::SecureNat if present.has_secure_nat(hub)? => {}
        Network::SecureNat => steps.push(secure_nat(hub)),
        Network::Tap { name, .. } if present.has_tap(hub, name)? => {}
        Network::Tap { name, address } => {
            steps.push(bridge(hub, name, *address));
            steps.push(dhcp(hub, *address));
            steps.push(secure_nat(hub));
        }
    }
    if let Some(published) = wish.published
        && !present.has_rule(&published.name())?
    {
        steps.push(publish(published));
    }
    if wish.listen.iter().all(|address| address.ip().is_unspecified()) {
        let wanted: Vec<u16> = wish.listen.iter().map(std::net::SocketAddr::port).collect();
        steps.extend(ports(&present.ports()?, &wanted));
    }
    if let Some(password) = &wish.admin {
        steps.push(Step {
            commands: vec!["ServerPasswordSet".to_owned()],
            call: method::request::<SetServerPassword>(&ServerPassword {
                plain_text_password: password.text.to_string().into(),
                ..ServerPassword::default()
            }),
            undo: Undo::None,
        });
    }
    Ok(steps)
}

fn create_hub(hub: &HubName) -> Step {
    let named = HubRequest {
        hub_name: hub.to_string(),
    };
    Step {
        commands: vec![format!("HubCreate {} /PASSWORD:none", word(hub.as_str()))],
        call: method::request::<CreateHub>(&HubSettings {
            hub_name: hub.to_string(),
            online: true,
            hub_type: HubType::Standalone,
            ..HubSettings::default()
        }),
        undo: Undo::Call(method::request::<DeleteHub>(&named)),
    }
}

fn create_user(hub: &HubName, name: &str, password: &str) -> Step {
    let typed = word(name);
    Step {
        commands: vec![
            of_hub(
                hub,
                &format!("UserCreate {typed} /GROUP:none /REALNAME:none /NOTE:none"),
            ),
            of_hub(hub, &format!("UserPasswordSet {typed}")),
        ],
        call: method::request::<CreateUser>(&User {
            hub_name: hub.to_string(),
            name: name.to_owned(),
            auth_type: AuthType::Password,
            auth_password: Some(password.to_owned().into()),
            ..User::default()
        }),
        undo: Undo::Call(method::request::<DeleteUser>(&HubObject {
            hub_name: hub.to_string(),
            name: name.to_owned(),
        })),
    }
}

fn secure_nat(hub: &HubName) -> Step {
    let named = HubRequest {
        hub_name: hub.to_string(),
    };
    Step {
        commands: vec![of_hub(hub, "SecureNatEnable")],
        call: method::request::<EnableSecureNAT>(&named),
        undo: Undo::Call(method::request::<DisableSecureNAT>(&named)),
    }
}

fn bridge(hub: &HubName, device: &str, address: TapAddress) -> Step {
    let bridge = LocalBridge {
        device_name: device.to_owned(),
        hub_name: hub.to_string(),
        tap_mode: true,
        host_address: Some(address.to_string()),
        ..LocalBridge::default()
    };
    Step {
        commands: vec![format!(
            "BridgeCreate {} /DEVICE:{} /TAP:yes /IP:{address}",
            word(hub.as_str()),
            word(device)
        )],
        call: method::request::<AddLocalBridge>(&bridge),
        undo: Undo::Call(method::request::<DeleteLocalBridge>(&bridge)),
    }
}

/// Addresses for the stations beside a TAP device: the virtual host has the one after the device's (or before it), gives out the others,
/// names the device as their router, and does no NAT itself.
fn dhcp(hub: &HubName, tap: TapAddress) -> Step {
    let last = tap.stations();
    let own = (1..=last)
        .map(|number| tap.station(number))
        .find(|address| *address != tap.address)
        .unwrap_or(Ipv4Addr::UNSPECIFIED);
    // The pool ends at the device's own address where that is one of the last.
    let below = (tap.address.to_bits() & !tap.mask().to_bits()).saturating_sub(1);
    let end = if below >= FIRST_LEASE {
        below
    } else {
        last.min(FIRST_LEASE + 0xfff0)
    };
    let (start, end) = (tap.station(FIRST_LEASE.min(end)), tap.station(end));
    let (mask, gateway, mac) = (tap.mask(), tap.address, nat_mac());
    let v4 = IpAddr::V4;
    Step {
        commands: vec![
            of_hub(
                hub,
                &format!("SecureNatHostSet /MAC:{} /IP:{own} /MASK:{mask}", written(mac)),
            ),
            of_hub(hub, "NatDisable"),
            of_hub(
                hub,
                &format!(
                    "DhcpSet /START:{start} /END:{end} /MASK:{mask} /EXPIRE:{LEASE} /GW:{gateway} /DNS:none /DNS2:none \
                     /DOMAIN:none /LOG:yes"
                ),
            ),
        ],
        call: method::request::<SetSecureNATOption>(&SecureNatOption {
            hub_name: hub.to_string(),
            mac_address: mac,
            ip: v4(own),
            mask: v4(mask),
            use_nat: false,
            mtu: 1500,
            nat_tcp_timeout: 1800,
            nat_udp_timeout: 60,
            use_dhcp: true,
            dhcp_lease_ip_start: v4(start),
            dhcp_lease_ip_end: v4(end),
            dhcp_subnet_mask: v4(mask),
            dhcp_expire_time_span: LEASE,
            dhcp_gateway_address: v4(gateway),
            save_log: true,
            ..SecureNatOption::default()
        }),
        undo: Undo::Former(method::request::<GetSecureNATOption>(&SecureNatRequest {
            hub_name: hub.to_string(),
        })),
    }
}

/// As `vpncmd` reads it.
fn written(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02X}")).join("-")
}

/// A station's address, locally administered, as the virtual host of a new hub has one.
fn nat_mac() -> [u8; 6] {
    let mut mac: [u8; 6] = rand::random();
    mac[0] = mac[0] & 0xfc | 0x02;
    mac
}

fn publish(published: Published) -> Step {
    let Published { udp, port, to } = published;
    let name = published.name();
    Step {
        commands: vec![format!(
            "DnatAdd {name} /PROTO:{} /DPORT:{port} /TO:{to}",
            published.protocol()
        )],
        call: method::request::<AddDnat>(&Dnat {
            name: name.clone(),
            protocol: if udp { DnatProtocol::Udp } else { DnatProtocol::Tcp },
            port_start: port.into(),
            port_end: port.into(),
            to_ip_address: IpAddr::V4(*to.ip()),
            to_port: to.port().into(),
            ..Dnat::default()
        }),
        undo: Undo::Call(method::request::<DeleteDnat>(&Named { name })),
    }
}

/// New ports first, so that there is no moment without one.
fn ports(present: &[u16], wanted: &[u16]) -> Vec<Step> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let open = |port: u16| {
        method::request::<CreateListener>(&Listener {
            port: port.into(),
            enable: true,
        })
    };
    let close = |port: u16| {
        method::request::<DeleteListener>(&Listener {
            port: port.into(),
            enable: false,
        })
    };
    let new = wanted
        .iter()
        .filter(|port| !present.contains(port))
        .map(|port| Step {
            commands: vec![format!("ListenerCreate {port}")],
            call: open(*port),
            undo: Undo::Call(close(*port)),
        });
    let old = present
        .iter()
        .filter(|port| !wanted.contains(port))
        .map(|port| Step {
            commands: vec![format!("ListenerDelete {port}")],
            call: close(*port),
            undo: Undo::Call(open(*port)),
        });
    new.chain(old).collect()
}

/// A command of one hub.
fn of_hub(hub: &HubName, command: &str) -> String {
    format!("/ADMINHUB:{} /CMD {command}", word(hub.as_str()))
}

/// The command as it is typed in a shell.
pub(super) fn typed(command: &str, folder: Option<&str>) -> String {
    let of_folder = folder.map_or(String::new(), |folder| {
        format!("HUBWARD_DATA_DIR={} ", word(folder))
    });
    let command = if command.starts_with("/ADMINHUB:") {
        command.to_owned()
    } else {
        format!("/CMD {command}")
    };
    format!("{of_folder}vpncmd localhost /SERVER {command}")
}

/// A word as a shell reads it.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@%,+=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_are_wanted_stay_and_new_ones_come_before_old_ones_go() {
        let commands = |present: &[u16], wanted: &[u16]| -> Vec<String> {
            ports(present, wanted)
                .into_iter()
                .flat_map(|step| step.commands)
                .collect()
        };
        assert_eq!(
            commands(&[443, 992], &[443, 5555]),
            ["ListenerCreate 5555", "ListenerDelete 992"]
        );
        assert!(commands(&[443], &[]).is_empty(), "nothing was wished");
    }

    #[test]
    fn a_word_that_a_shell_would_take_apart_is_quoted() {
        assert_eq!(word("lab"), "lab");
        assert_eq!(word("our lab"), "'our lab'");
        assert_eq!(word("a'b"), r"'a'\''b'");
        assert_eq!(word("#1"), "'#1'");
    }

    #[test]
    fn the_pool_beside_a_tap_device_leaves_the_device_and_the_virtual_host_out() {
        let hub = HubName::parse("lab").unwrap();
        for (address, own, start, end) in [
            (
                "192.168.30.1/24",
                "192.168.30.2",
                "192.168.30.10",
                "192.168.30.254",
            ),
            ("10.9.255.254/16", "10.9.0.1", "10.9.0.10", "10.9.255.253"),
            ("192.0.2.1/28", "192.0.2.2", "192.0.2.10", "192.0.2.14"),
        ] {
            let commands = dhcp(&hub, address.parse().unwrap()).commands.join("\n");
            for part in [format!("/IP:{own} "), format!("/START:{start} /END:{end} ")] {
                assert!(commands.contains(&part), "{address}: {commands}");
            }
        }
    }
}
