//! Certificates a hub no longer accepts.

use super::message::message;

message! {
    /// What a revoked certificate looks like; what is left out does not count.
    pub struct Revocation {
        hub_name: hub str "HubName",
        key: key u32 "Key",
        serial: optional data "Serial",
        common_name: optional unistr "CommonName",
        organization: optional unistr "Organization",
        unit: optional unistr "Unit",
        country: optional unistr "Country",
        state: optional unistr "State",
        locality: optional unistr "Local",
        digest_md5: optional data "DigestMD5",
        digest_sha1: optional data "DigestSHA1",
    }

    /// One entry in a [`RevocationList`].
    pub struct RevocationRow {
        key: u32 "Key",
        /// For people.
        summary: unistr "CrlInfo",
    }

    /// All entries of a hub.
    pub struct RevocationList {
        hub_name: hub str "HubName",
        revocations: counted RevocationRow "CRLList",
    }
}
