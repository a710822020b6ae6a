//! Groups of users of a hub.

use super::message::message;
use super::traffic::Traffic;

message! {
    /// A group. `SetGroup` writes all of it, so change one thing by reading first.
    pub struct Group {
        hub_name: hub str "HubName",
        name: key str "Name",
        realname: unistr "Realname",
        note: unistr "Note",
        traffic: flat Traffic "",
        /// None for the default.
        policy: used_policy "UsePolicy",
    }

    /// One group in a [`GroupList`].
    pub struct GroupRow {
        name: str "Name",
        realname: unistr "Realname",
        note: unistr "Note",
        num_users: u32 "NumUsers",
        /// The group's policy denies login.
        deny_access: bool "DenyAccess",
    }

    /// All groups of a hub.
    pub struct GroupList {
        hub_name: hub str "HubName",
        groups: group GroupRow "GroupList",
    }
}
