//! The change feed: what readers of the store follow.

/// The kind of record that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// The settings of the whole server.
    Server,
    /// A listener; its name is the port.
    Listener,
    /// A hub.
    Hub,
    /// A user of a hub.
    User,
    /// A group of a hub.
    Group,
    /// A local bridge of a hub; its name is the device.
    LocalBridge,
    /// A DNAT rule.
    DnatRule,
    /// A cascade of a hub.
    Cascade,
    /// A layer 3 switch.
    Layer3Switch,
    /// The access list of a hub.
    AccessRules,
    /// Where clients of a hub may come from.
    SourceRules,
    /// An authority that a hub trusts; its name is its key.
    Authority,
    /// A revocation of a hub; its name is its key.
    Revocation,
}

impl Noun {
    const ALL: [Self; 13] = [
        Self::Server,
        Self::Listener,
        Self::Hub,
        Self::User,
        Self::Group,
        Self::LocalBridge,
        Self::DnatRule,
        Self::Cascade,
        Self::Layer3Switch,
        Self::AccessRules,
        Self::SourceRules,
        Self::Authority,
        Self::Revocation,
    ];

    /// Its word in the store.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Listener => "listener",
            Self::Hub => "hub",
            Self::User => "user",
            Self::Group => "group",
            Self::LocalBridge => "local-bridge",
            Self::DnatRule => "dnat-rule",
            Self::Cascade => "cascade",
            Self::Layer3Switch => "layer3-switch",
            Self::AccessRules => "access-rules",
            Self::SourceRules => "source-rules",
            Self::Authority => "authority",
            Self::Revocation => "revocation",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|noun| noun.word() == word)
    }
}

/// What happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was added.
    Added,
    /// It was changed.
    Changed,
    /// It was deleted.
    Deleted,
}

impl Action {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Added, Self::Changed, Self::Deleted]
            .into_iter()
            .find(|action| action.word() == word)
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number; later changes have larger ones.
    pub revision: u64,
    /// What kind of record.
    pub noun: Noun,
    /// What happened.
    pub action: Action,
    /// The hub it belongs to; empty for what belongs to the server.
    pub hub: String,
    /// The record's name.
    pub name: String,
}

/// What a reader missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feed {
    /// These changes, oldest first.
    Changes(Vec<Change>),
    /// So much that the beginning is no longer kept: read everything anew.
    Gap,
}
