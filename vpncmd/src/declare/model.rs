//! The two states that are compared: what a file declares, and what a server has.

use protocol::rpc::{
    access::{AccessRule, SourceRule},
    bridge::LocalBridge,
    dnat::Dnat,
    group::Group,
    hub::{HubRadius, HubSettings},
    listener::ListenerRow,
    option::HubOption,
    securenat::SecureNatIpv6,
    user::User,
};
use zeroize::Zeroizing;

use crate::declare::{fields::SecureNat, value::Declared};

/// What a file declares. A section that is not there is nobody's business: nothing in it is changed or deleted.
#[derive(Default)]
pub struct Declaration {
    /// What the sections do not name is deleted, without being asked for it on the command line.
    pub exclusive: bool,
    /// The TCP ports that are listened on.
    pub listeners: Option<Vec<At<u32>>>,
    /// Local bridges.
    pub bridges: Option<Vec<At<LocalBridge>>>,
    /// Published hosts.
    pub dnat: Option<Vec<Named<Dnat>>>,
    /// Hubs.
    pub hubs: Option<Vec<DeclaredHub>>,
}

/// A thing and the line of the file that names it.
pub struct At<T> {
    /// The thing.
    pub item: T,
    /// The line.
    pub line: usize,
}

/// An object with a name.
pub struct Named<T: 'static> {
    /// Its name.
    pub name: String,
    /// What it shall be.
    pub object: Declared<T>,
}

/// A password and the line of the file that gives it.
pub type Password = At<Zeroizing<String>>;

/// One hub.
#[derive(Default)]
pub struct DeclaredHub {
    /// Its name.
    pub name: String,
    /// As [`Declaration::exclusive`], for this hub's sections.
    pub exclusive: bool,
    /// Its own settings.
    pub object: Declared<HubSettings>,
    /// Its administrator's password.
    pub password: Option<Password>,
    /// What users are shown; empty for nothing.
    pub message: Option<String>,
    /// Extended options.
    pub options: Vec<At<HubOption>>,
    /// What its administrator may not do.
    pub admin_options: Vec<At<HubOption>>,
    /// Groups.
    pub groups: Option<Vec<Named<Group>>>,
    /// Users.
    pub users: Option<Vec<DeclaredUser>>,
    /// The access list.
    pub access: Option<Vec<AccessRule>>,
    /// Where clients may come from.
    pub sources: Option<Vec<SourceRule>>,
    /// The RADIUS server.
    pub radius: Option<Declared<HubRadius>>,
    /// The secret shared with it.
    pub radius_secret: Option<Password>,
    /// SecureNAT.
    pub secure_nat: Option<Declared<SecureNat>>,
    /// Its IPv6.
    pub ipv6: Option<Declared<SecureNatIpv6>>,
}

/// One user.
pub struct DeclaredUser {
    /// Its name.
    pub name: String,
    /// What it shall be.
    pub object: Declared<User>,
    /// Its password.
    pub password: Option<Password>,
}

/// What a server has, as far as it was asked.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// TCP ports.
    pub listeners: Vec<ListenerRow>,
    /// Local bridges.
    pub bridges: Vec<LocalBridge>,
    /// Ethernet devices that can be bridged.
    pub devices: Vec<String>,
    /// Published hosts.
    pub dnat: Vec<Dnat>,
    /// Hubs.
    pub hubs: Vec<ObservedHub>,
    /// Hubs that were not asked any further.
    pub other_hubs: Vec<String>,
}

/// One hub of a server.
#[derive(Clone, Debug, Default)]
pub struct ObservedHub {
    /// Its own settings.
    pub settings: HubSettings,
    /// What users are shown.
    pub message: String,
    /// Extended options.
    pub options: Vec<HubOption>,
    /// What its administrator may not do.
    pub admin_options: Vec<HubOption>,
    /// Groups.
    pub groups: Vec<Group>,
    /// Every user's name and group.
    pub members: Vec<(String, String)>,
    /// The users that were asked for.
    pub users: Vec<User>,
    /// The access list.
    pub access: Vec<AccessRule>,
    /// Where clients may come from.
    pub sources: Vec<SourceRule>,
    /// The RADIUS server.
    pub radius: HubRadius,
    /// SecureNAT.
    pub secure_nat: SecureNat,
    /// Its IPv6, where the server has it.
    pub ipv6: Option<SecureNatIpv6>,
}

impl Observed {
    /// The hub of a name.
    #[must_use]
    pub fn hub(&self, name: &str) -> Option<&ObservedHub> {
        self.hubs.iter().find(|hub| same(&hub.settings.hub_name, name))
    }
}

impl ObservedHub {
    /// The group of a name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| same(&group.name, name))
    }
}

/// A name as it is compared: without regard to the case of its letters. For sets and maps; [`same`] compares two.
#[must_use]
pub fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Names differ in more than the case of their letters, or mean the same.
#[must_use]
pub fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}
