//! A server in memory: as much of one as `Apply` needs, with a fault where the test wants one.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::pack::Pack;
use protocol::rpc::access::{AccessList, AccessRule, SourceRule, SourceRules};
use protocol::rpc::bridge::{EthernetList, EthernetRow, LocalBridge, LocalBridgeList, LocalBridgeRow};
use protocol::rpc::dnat::{Dnat, DnatList, DnatRow};
use protocol::rpc::group::{Group, GroupList, GroupRow};
use protocol::rpc::hub::{HubList, HubMessage, HubRadius, HubRow, HubSettings, HubStatus};
use protocol::rpc::listener::{Listener, ListenerList, ListenerRow};
use protocol::rpc::option::{HubOption, HubOptions};
use protocol::rpc::securenat::{SecureNatIpv6, SecureNatOption, SecureNatRequest};
use protocol::rpc::user::{AuthType, User, UserList, UserRow};
use protocol::rpc::{HubObject, HubRequest, Named, RpcMessage, Secret};
use vpncmd::shell::Server;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hub {
    pub(crate) settings: HubSettings,
    pub(crate) message: Vec<u8>,
    pub(crate) options: Vec<(String, u32)>,
    pub(crate) groups: Vec<Group>,
    pub(crate) users: Vec<User>,
    pub(crate) access: Vec<AccessRule>,
    pub(crate) sources: Vec<SourceRule>,
    pub(crate) radius: HubRadius,
    pub(crate) ipv6: SecureNatIpv6,
    pub(crate) nat: SecureNatOption,
    pub(crate) nat_on: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) hubs: Vec<Hub>,
    pub(crate) dnat: Vec<Dnat>,
    pub(crate) bridges: Vec<LocalBridge>,
    pub(crate) listeners: Vec<(u32, bool)>,
}

/// How the server behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// `GetUser` shows the hash of the password, as stock servers do.
    pub(crate) shows_hashes: bool,
    /// It has what stock servers have not: published hosts, IPv6 in SecureNAT.
    pub(crate) has_dnat: bool,
    /// How many changes succeed before one fails; those after it succeed again.
    pub(crate) fails_after: Option<usize>,
    /// With which number.
    pub(crate) fails_with: ErrorCode,
    /// The failing change is made nevertheless: the answer got lost.
    pub(crate) fails_late: bool,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            shows_hashes: true,
            has_dnat: true,
            fails_after: None,
            fails_with: ErrorCode::Internal,
            fails_late: false,
        }
    }
}

/// The server; clones share the state.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) state: Rc<RefCell<State>>,
    pub(crate) manner: Rc<RefCell<Manner>>,
    /// The methods that changed something.
    pub(crate) changes: Rc<RefCell<Vec<String>>>,
}

impl Server for Model {
    fn call(&mut self, method: &str, request: &Pack) -> Result<Pack, ErrorCode> {
        let reads = ["Get", "Enum", "Test"]
            .iter()
            .any(|start| method.starts_with(start));
        let manner = *self.manner.borrow();
        if !manner.has_dnat && (method.ends_with("Dnat") || method.ends_with("IPv6")) {
            return Err(ErrorCode::NotSupported);
        }
        if reads {
            return self.read(method, request);
        }
        let number = self.changes.borrow().len();
        self.changes.borrow_mut().push(method.to_owned());
        let fails = manner.fails_after == Some(number);
        if fails && !manner.fails_late {
            return Err(manner.fails_with);
        }
        let answer = self.change(method, request);
        if fails { Err(manner.fails_with) } else { answer }
    }
}

fn is(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}

/// What a new hub's SecureNAT is set to.
pub(crate) fn default_nat(hub: &str) -> SecureNatOption {
    let v4 = |d| IpAddr::V4(Ipv4Addr::new(192, 168, 30, d));
    SecureNatOption {
        hub_name: hub.to_owned(),
        mac_address: [0x5e, 1, 2, 3, 4, 5],
        ip: v4(1),
        mask: "255.255.255.0".parse().unwrap(),
        use_nat: true,
        mtu: 1500,
        nat_tcp_timeout: 1800,
        nat_udp_timeout: 60,
        use_dhcp: true,
        dhcp_lease_ip_start: v4(10),
        dhcp_lease_ip_end: v4(200),
        dhcp_subnet_mask: "255.255.255.0".parse().unwrap(),
        dhcp_expire_time_span: 7200,
        dhcp_gateway_address: v4(1),
        dhcp_dns_server_address: v4(1),
        dhcp_dns_server_address2: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        dhcp_domain_name: "example".to_owned(),
        save_log: true,
        apply_dhcp_push_routes: true,
        dhcp_push_routes: String::new(),
        dhcp_reservations: Some(String::new()),
    }
}

/// And its IPv6.
pub(crate) fn default_ipv6(hub: &str) -> SecureNatIpv6 {
    SecureNatIpv6 {
        hub_name: hub.to_owned(),
        prefix: "fd12:3456:789a::/64".to_owned(),
        name_servers: "auto".to_owned(),
        preferred_lifetime: 2700,
        valid_lifetime: 5400,
        ..SecureNatIpv6::default()
    }
}

pub(crate) fn hub_named(name: &str) -> Hub {
    Hub {
        settings: HubSettings {
            hub_name: name.to_owned(),
            online: true,
            ..HubSettings::default()
        },
        options: vec![("NoIpTable".to_owned(), 0), ("VlanTypeId".to_owned(), 33024)],
        nat: default_nat(name),
        ipv6: default_ipv6(name),
        ..Hub::default()
    }
}

impl Model {
    pub(crate) fn with(state: State) -> Model {
        Model {
            state: Rc::new(RefCell::new(state)),
            ..Model::default()
        }
    }

    fn read(&self, method: &str, request: &Pack) -> Result<Pack, ErrorCode> {
        let state = self.state.borrow();
        let hub = || {
            let name = match method {
                "GetSecureNATOption" => SecureNatRequest::from_pack(request).unwrap().hub_name,
                _ => HubRequest::from_pack(request).unwrap().hub_name,
            };
            let found = state.hubs.iter().find(|hub| is(&hub.settings.hub_name, &name));
            found.ok_or(ErrorCode::HubNotFound)
        };
        let name = || HubObject::from_pack(request).unwrap().name;
        Ok(match method {
            "EnumHub" => {
                let row = |hub: &Hub| HubRow {
                    hub_name: hub.settings.hub_name.clone(),
                    ..HubRow::default()
                };
                HubList {
                    hubs: state.hubs.iter().map(row).collect(),
                }
                .to_pack()
            }
            "GetHub" => HubSettings {
                hashed_password: Secret::new(vec![0; 20]),
                secure_password: Secret::new(vec![0; 20]),
                ..hub()?.settings.clone()
            }
            .to_pack(),
            "GetHubStatus" => HubStatus {
                hub_name: hub()?.settings.hub_name.clone(),
                secure_nat_enabled: hub()?.nat_on,
                ..HubStatus::default()
            }
            .to_pack(),
            "GetHubMsg" => HubMessage {
                hub_name: String::new(),
                msg: hub()?.message.clone(),
            }
            .to_pack(),
            "GetHubExtOptions" => {
                let option = |(name, value): &(String, u32)| HubOption {
                    name: name.clone(),
                    value: *value,
                    ..HubOption::default()
                };
                HubOptions {
                    hub_name: hub()?.settings.hub_name.clone(),
                    options: hub()?.options.iter().map(option).collect(),
                }
                .to_pack()
            }
            "GetSecureNATOption" => hub()?.nat.to_pack(),
            "EnumAccess" => AccessList {
                hub_name: String::new(),
                rules: hub()?.access.clone(),
            }
            .to_pack(),
            "GetAcList" => SourceRules {
                hub_name: String::new(),
                rules: hub()?.sources.clone(),
            }
            .to_pack(),
            // Stock servers do not name the hub here.
            "GetHubRadius" => HubRadius {
                hub_name: String::new(),
                ..hub()?.radius.clone()
            }
            .to_pack(),
            "GetSecureNATIPv6" => hub()?.ipv6.to_pack(),
            "EnumGroup" => {
                let row = |group: &Group| GroupRow {
                    name: group.name.clone(),
                    ..GroupRow::default()
                };
                GroupList {
                    hub_name: String::new(),
                    groups: hub()?.groups.iter().map(row).collect(),
                }
                .to_pack()
            }
            "GetGroup" => {
                let found = hub()?.groups.iter().find(|group| is(&group.name, &name()));
                found.ok_or(ErrorCode::ObjectNotFound)?.to_pack()
            }
            "EnumUser" => {
                let row = |user: &User| UserRow {
                    name: user.name.clone(),
                    group_name: user.group_name.clone(),
                    ..UserRow::default()
                };
                UserList {
                    hub_name: String::new(),
                    users: hub()?.users.iter().map(row).collect(),
                }
                .to_pack()
            }
            "GetUser" => {
                let found = hub()?.users.iter().find(|user| is(&user.name, &name()));
                let mut user = found.ok_or(ErrorCode::ObjectNotFound)?.clone();
                if !self.manner.borrow().shows_hashes {
                    (user.hashed_key, user.nt_lm_secure_hash) = (None, None);
                }
                user.to_pack()
            }
            "EnumDnat" => {
                let row = |rule: &Dnat| DnatRow {
                    rule: rule.clone(),
                    ..DnatRow::default()
                };
                DnatList {
                    rules: state.dnat.iter().map(row).collect(),
                }
                .to_pack()
            }
            "EnumLocalBridge" => {
                let row = |bridge: &LocalBridge| LocalBridgeRow {
                    device_name: bridge.device_name.clone(),
                    hub_name: bridge.hub_name.clone(),
                    tap_mode: bridge.tap_mode,
                    host_address: bridge.host_address.clone(),
                    ..LocalBridgeRow::default()
                };
                LocalBridgeList {
                    bridges: state.bridges.iter().map(row).collect(),
                }
                .to_pack()
            }
            "EnumEthernet" => {
                let device = |name: &str| EthernetRow {
                    device_name: name.to_owned(),
                    ..EthernetRow::default()
                };
                EthernetList {
                    devices: vec![device("eth0"), device("eth1")],
                }
                .to_pack()
            }
            "EnumListener" => {
                let row = |(port, enabled): &(u32, bool)| ListenerRow {
                    port: *port,
                    enabled: *enabled,
                    error: false,
                };
                ListenerList {
                    listeners: state.listeners.iter().map(row).collect(),
                }
                .to_pack()
            }
            _ => return Err(ErrorCode::NotSupported),
        })
    }

    fn change(&self, method: &str, request: &Pack) -> Result<Pack, ErrorCode> {
        let mut state = self.state.borrow_mut();
        match method {
            "CreateHub" => {
                let settings = HubSettings::from_pack(request).unwrap();
                if state
                    .hubs
                    .iter()
                    .any(|hub| is(&hub.settings.hub_name, &settings.hub_name))
                {
                    return Err(ErrorCode::HubExists);
                }
                let hub = hub_named(&settings.hub_name);
                state.hubs.push(Hub { settings, ..hub });
            }
            "DeleteHub" => {
                let name = HubRequest::from_pack(request).unwrap().hub_name;
                remove(&mut state.hubs, |hub| is(&hub.settings.hub_name, &name))?;
            }
            "AddLocalBridge" => state.bridges.push(LocalBridge::from_pack(request).unwrap()),
            "SetLocalBridge" => {
                let bridge = LocalBridge::from_pack(request).unwrap();
                for known in &mut state.bridges {
                    if known.device_name == bridge.device_name {
                        known.host_address.clone_from(&bridge.host_address);
                    }
                }
            }
            "DeleteLocalBridge" => {
                let bridge = LocalBridge::from_pack(request).unwrap();
                remove(&mut state.bridges, |known| {
                    known.device_name == bridge.device_name
                })?;
            }
            "AddDnat" => {
                let rule = Dnat::from_pack(request).unwrap();
                if state.dnat.iter().any(|known| is(&known.name, &rule.name)) {
                    return Err(ErrorCode::ObjectExists);
                }
                state.dnat.push(rule);
            }
            "SetDnat" => {
                let rule = Dnat::from_pack(request).unwrap();
                let known = state.dnat.iter_mut().find(|known| is(&known.name, &rule.name));
                *known.ok_or(ErrorCode::ObjectNotFound)? = rule;
            }
            "DeleteDnat" => {
                let name = Named::from_pack(request).unwrap().name;
                remove(&mut state.dnat, |rule| is(&rule.name, &name))?;
            }
            "CreateListener" | "EnableListener" | "DeleteListener" => {
                let listener = Listener::from_pack(request).unwrap();
                let at = state
                    .listeners
                    .iter()
                    .position(|(port, _)| *port == listener.port);
                match (method, at) {
                    ("CreateListener", None) => state.listeners.push((listener.port, listener.enable)),
                    ("EnableListener", Some(at)) => state.listeners[at].1 = listener.enable,
                    ("DeleteListener", Some(at)) => drop(state.listeners.remove(at)),
                    _ => return Err(ErrorCode::ListenerNotFound),
                }
            }
            _ => return change_hub(&mut state, method, request),
        }
        Ok(Pack::new())
    }
}

fn change_hub(state: &mut State, method: &str, request: &Pack) -> Result<Pack, ErrorCode> {
    let name = match method {
        "SetSecureNATOption" => SecureNatRequest::from_pack(request).unwrap().hub_name,
        _ => HubRequest::from_pack(request).unwrap().hub_name,
    };
    let hub = state
        .hubs
        .iter_mut()
        .find(|hub| is(&hub.settings.hub_name, &name));
    let hub = hub.ok_or(ErrorCode::HubNotFound)?;
    let object = || HubObject::from_pack(request).unwrap().name;
    match method {
        "SetHub" => {
            let new = HubSettings::from_pack(request).unwrap();
            let old = std::mem::replace(&mut hub.settings, new);
            if hub.settings.hashed_password.is_blank() {
                hub.settings.hashed_password = old.hashed_password;
                hub.settings.secure_password = old.secure_password;
            }
        }
        "SetHubMsg" => hub.message = HubMessage::from_pack(request).unwrap().msg,
        "SetHubExtOptions" => {
            for option in HubOptions::from_pack(request).unwrap().options {
                let known = hub.options.iter_mut().find(|(name, _)| is(name, &option.name));
                known.unwrap().1 = option.value;
            }
        }
        "SetSecureNATOption" => hub.nat = SecureNatOption::from_pack(request).unwrap(),
        "SetSecureNATIPv6" => {
            let (asked, usual) = (SecureNatIpv6::from_pack(request).unwrap(), default_ipv6(""));
            let text = |asked: String, usual| if asked.is_empty() { usual } else { asked };
            let number = |asked, usual| if asked == 0 { usual } else { asked };
            hub.ipv6 = SecureNatIpv6 {
                prefix: text(asked.prefix, usual.prefix),
                name_servers: text(asked.name_servers, usual.name_servers),
                preferred_lifetime: number(asked.preferred_lifetime, usual.preferred_lifetime),
                valid_lifetime: number(asked.valid_lifetime, usual.valid_lifetime),
                ..asked
            };
        }
        "EnableSecureNAT" => hub.nat_on = true,
        "DisableSecureNAT" => hub.nat_on = false,
        "SetAccessList" => hub.access = AccessList::from_pack(request).unwrap().rules,
        "SetAcList" => hub.sources = SourceRules::from_pack(request).unwrap().rules,
        "SetHubRadius" => {
            hub.radius = HubRadius {
                hub_name: String::new(),
                ..HubRadius::from_pack(request).unwrap()
            };
        }
        "CreateGroup" => hub.groups.push(Group::from_pack(request).unwrap()),
        "SetGroup" => {
            let group = Group::from_pack(request).unwrap();
            let known = hub.groups.iter_mut().find(|known| is(&known.name, &group.name));
            *known.ok_or(ErrorCode::ObjectNotFound)? = group;
        }
        "DeleteGroup" => {
            let name = object();
            remove(&mut hub.groups, |group| is(&group.name, &name))?;
            for user in hub.users.iter_mut().filter(|user| is(&user.group_name, &name)) {
                user.group_name.clear();
            }
        }
        "CreateUser" | "SetUser" => {
            let mut user = User::from_pack(request).unwrap();
            let group = &user.group_name;
            if !group.is_empty() && !hub.groups.iter().any(|known| is(&known.name, group)) {
                return Err(ErrorCode::GroupNotFound);
            }
            let at = hub.users.iter().position(|known| is(&known.name, &user.name));
            match (method, at) {
                ("CreateUser", None) => hub.users.push(user),
                ("SetUser", Some(at)) => {
                    let old = &hub.users[at];
                    let password = AuthType::Password;
                    if user.auth_type == password && user.hashed_key.is_none() && old.auth_type == password {
                        user.hashed_key.clone_from(&old.hashed_key);
                        user.nt_lm_secure_hash.clone_from(&old.nt_lm_secure_hash);
                    }
                    hub.users[at] = user;
                }
                ("CreateUser", Some(_)) => return Err(ErrorCode::UserExists),
                _ => return Err(ErrorCode::ObjectNotFound),
            }
        }
        "DeleteUser" => {
            let name = object();
            remove(&mut hub.users, |user| is(&user.name, &name))?;
        }
        _ => return Err(ErrorCode::NotSupported),
    }
    Ok(Pack::new())
}

fn remove<T>(list: &mut Vec<T>, is_it: impl Fn(&T) -> bool) -> Result<(), ErrorCode> {
    let at = list.iter().position(is_it).ok_or(ErrorCode::ObjectNotFound)?;
    list.remove(at);
    Ok(())
}

/// The state with every list in order: which of two users was made first does not matter.
pub(crate) fn sorted(state: &State) -> State {
    let mut state = state.clone();
    for hub in &mut state.hubs {
        hub.groups.sort_by(|a, b| a.name.cmp(&b.name));
        hub.users.sort_by(|a, b| a.name.cmp(&b.name));
        hub.access
            .sort_by_key(|rule| (rule.priority, format!("{rule:?}")));
    }
    state
        .hubs
        .sort_by(|a, b| a.settings.hub_name.cmp(&b.settings.hub_name));
    state.dnat.sort_by(|a, b| a.name.cmp(&b.name));
    state.bridges.sort_by(|a, b| a.device_name.cmp(&b.device_name));
    state.listeners.sort_unstable();
    state
}
