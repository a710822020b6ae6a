//! Options of a hub: extended ones, and those that restrict its administrator.

use super::message::message;

message! {
    /// One option.
    pub struct HubOption {
        name: str "Name",
        value: u32 "Value",
        /// For people; ignored when set.
        description: unistr "Descrption",
    }

    /// Options by name. Setting changes those that are named and leaves the others.
    pub struct HubOptions {
        hub_name: hub str "HubName",
        options: counted HubOption "AdminOptionList",
    }
}
