//! The authorities that a client service trusts.

use crate::rpc::message::message;

message! {
    /// Which authority; the key is opaque.
    pub struct AuthorityKey {
        key: u32 "Key",
    }

    /// An authority to trust from now on.
    pub struct NewAuthority {
        /// DER.
        certificate: data "x",
    }

    /// A trusted authority.
    pub struct Authority {
        key: u32 "Key",
        /// DER.
        certificate: data "x",
    }

    /// One authority in an [`AuthorityList`].
    pub struct AuthorityRow {
        key: u32 "Key",
        subject_name: unistr "SubjectName",
        issuer_name: unistr "IssuerName",
        expires: time "Expires",
    }

    /// All trusted authorities.
    pub struct AuthorityList {
        authorities: counted AuthorityRow "CAList",
    }

    /// A certificate and, in the answer, who has issued it.
    pub struct Issuer {
        /// DER.
        certificate: optional data "x",
        /// DER.
        issuer: optional data "issuer_x",
    }
}
