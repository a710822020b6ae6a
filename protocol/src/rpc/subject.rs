/// What a message is about, by the fields that its definition marks as `hub` and `key`. Audit lines name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The hub.
    pub hub: Option<String>,
    /// The object: a user's name, a port, the key of a list's line.
    pub name: Option<String>,
}
