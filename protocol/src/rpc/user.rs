//! Users of a hub.

use super::message::{codes, message};
use super::traffic::Traffic;

codes! {
    /// How a user proves who they are.
    pub enum AuthType {
        Anonymous = 0,
        Password = 1,
        /// One certificate, kept with the user.
        UserCertificate = 2,
        /// A certificate signed by an authority the hub trusts.
        SignedCertificate = 3,
        Radius = 4,
        NtDomain = 5,
    }
}

message! {
    /// A user. `SetUser` writes all of it, so change one thing by reading first.
    pub struct User {
        hub_name: hub str "HubName",
        name: key str "Name",
        /// Empty for none.
        group_name: str "GroupName",
        realname: unistr "Realname",
        note: unistr "Note",
        created_time: time "CreatedTime",
        updated_time: time "UpdatedTime",
        /// None for never.
        expire_time: time "ExpireTime",
        auth_type: code AuthType "AuthType",
        /// For [`AuthType::Password`]: SHA-0 of the password and the upper-case user name.
        hashed_key: optional secret "HashedKey",
        /// For [`AuthType::Password`]: MD4 of the password in UTF-16LE.
        nt_lm_secure_hash: optional secret "NtLmSecureHash",
        /// For [`AuthType::Password`], in requests only: the password itself; wins over the hashes.
        auth_password: optional password "Auth_Password",
        /// For [`AuthType::UserCertificate`]: X.509 in DER.
        user_x: optional data "UserX",
        /// For [`AuthType::SignedCertificate`]: the serial number it must have.
        serial: optional data "Serial",
        /// For [`AuthType::SignedCertificate`]: the common name it must have.
        common_name: optional unistr "CommonName",
        /// For [`AuthType::Radius`]: the name there; empty for the same.
        radius_username: optional unistr "RadiusUsername",
        /// For [`AuthType::NtDomain`]: the name there; empty for the same.
        nt_username: optional unistr "NtUsername",
        num_login: u32 "NumLogin",
        traffic: flat Traffic "",
        /// None for the group's, or the default.
        policy: used_policy "UsePolicy",
    }

    /// One user in a [`UserList`].
    pub struct UserRow {
        name: str "Name",
        group_name: str "GroupName",
        realname: unistr "Realname",
        note: unistr "Note",
        auth_type: code AuthType "AuthType",
        last_login_time: time "LastLoginTime",
        num_login: u32 "NumLogin",
        /// The user's policy denies login.
        deny_access: bool "DenyAccess",
        /// The traffic counters are meant.
        is_traffic_filled: bool "IsTrafficFilled",
        traffic: flat Traffic "Ex.",
        /// `expires` is meant.
        is_expires_filled: bool "IsExpiresFilled",
        expires: time "Expires",
    }

    /// All users of a hub.
    pub struct UserList {
        hub_name: hub str "HubName",
        users: group UserRow "UserList",
    }
}
