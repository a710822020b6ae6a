//! The server's certificate, and the authorities a hub trusts.

use super::message::message;

message! {
    /// A certificate with its key.
    pub struct KeyPair {
        /// X.509 in DER; none in requests that only ask.
        cert: optional data "Cert",
        /// Private key in DER; shown to the server's administrator only.
        key: optional secret "Key",
        /// In answers to `SetServerCert`, 0 for a certificate whose issuers are missing.
        flag1: u32 "Flag1",
        /// The certificates that lead from `cert` to a root, DER; from version 5.02.
        chain: list data "Chain",
    }

    /// An authority to trust.
    pub struct NewAuthority {
        hub_name: hub str "HubName",
        /// X.509 in DER.
        cert: data "Cert",
    }

    /// One authority in an [`AuthorityList`].
    pub struct AuthorityRow {
        key: u32 "Key",
        subject_name: unistr "SubjectName",
        issuer_name: unistr "IssuerName",
        expires: time "Expires",
    }

    /// The authorities a hub trusts.
    pub struct AuthorityList {
        hub_name: hub str "HubName",
        authorities: group AuthorityRow "CAList",
    }

    /// One authority.
    pub struct Authority {
        hub_name: hub str "HubName",
        key: u32 "Key",
        /// X.509 in DER.
        cert: optional data "Cert",
    }
}
