//! Accounts in files: what `AccountExport` writes and `AccountImport` reads (client RPC §4.1).

use zeroize::Zeroizing;

use super::account::{Account, ConnectionAuth, ConnectionOption};
use crate::config::{ConfigError, Folder, ROOT, hidden};
use crate::rpc::Secret;
use crate::rpc::cascade::LinkAuthType;

/// The lines before the first folder.
const HEAD: &str = "\
# A connection setting of a VPN client
#
# Client services import this file: vpncmd /CLIENT, AccountImport.

";

/// Why a file holds no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is no file of this format, or a value has the wrong type.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A folder that every account has is not there.
    #[error("there is no folder {0} in it")]
    Missing(&'static str),
    /// A value that is none.
    #[error("{0} does not hold what it should")]
    Value(&'static str),
}

impl Account {
    /// The account as a file, without what is the service's own: its key, its times. Wiped when it is dropped.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<String> {
        let mut root = Folder::new(ROOT);
        root.set("CheckServerCert", self.check_server_cert);
        root.set("RetryOnServerCert", self.retry_on_server_cert);
        root.set("StartupAccount", self.startup);
        for time in ["CreateDateTime", "UpdateDateTime", "LastConnectDateTime"] {
            root.set(time, 0_u64);
        }
        if let Some(cert) = &self.server_cert {
            root.set("ServerCert", cert.as_slice());
        }
        if let Some(default) = self.add_default_ca {
            root.set("AddDefaultCA", default);
        }
        write_option(self, root.folder_mut("ClientOption"));
        write_auth(&self.auth, root.folder_mut("ClientAuth"));
        root.to_text(HEAD)
    }

    /// Reads an account from a file.
    ///
    /// # Errors
    /// It is no such file.
    pub fn from_file(file: &[u8]) -> Result<Self, FileError> {
        Self::from_folder(&Folder::parse(file)?)
    }

    /// Reads an account from the folder that holds it in the configuration file of a stock service (client RPC §4).
    ///
    /// # Errors
    /// It holds none.
    pub fn from_folder(root: &Folder) -> Result<Self, FileError> {
        let option = root
            .folder("ClientOption")
            .ok_or(FileError::Missing("ClientOption"))?;
        let auth = root
            .folder("ClientAuth")
            .ok_or(FileError::Missing("ClientAuth"))?;
        let within = |error: ConfigError| error.within(root.name());
        let bool = |name| root.bool(name).map(Option::unwrap_or_default).map_err(within);
        Ok(Self {
            account_name: option.string("AccountName")?.unwrap_or_default().to_owned(),
            startup: bool("StartupAccount")?,
            check_server_cert: bool("CheckServerCert")?,
            retry_on_server_cert: bool("RetryOnServerCert")?,
            server_cert: root.bytes("ServerCert").map_err(within)?.map(<[u8]>::to_vec),
            add_default_ca: root.bool("AddDefaultCA").map_err(within)?,
            option: read_option(option)?,
            auth: read_auth(auth)?,
            ..Self::default()
        })
    }
}

/// Keys of a connection's options, by the type of their values.
macro_rules! keys {
    ($option:ident, $visit:ident) => {
        $visit!(string, $option.hostname, "Hostname");
        $visit!(uint, $option.port, "Port");
        $visit!(uint, $option.port_udp, "PortUDP");
        $visit!(string, $option.hub_name, "HubName");
        $visit!(string, $option.device_name, "DeviceName");
        $visit!(string, $option.proxy_name, "ProxyName");
        $visit!(uint, $option.proxy_port, "ProxyPort");
        $visit!(string, $option.proxy_username, "ProxyUsername");
        $visit!(string, $option.custom_http_header, "CustomHttpHeader");
        $visit!(uint, $option.num_retry, "NumRetry");
        $visit!(uint, $option.retry_interval, "RetryInterval");
        $visit!(uint, $option.max_connection, "MaxConnection");
        $visit!(bool, $option.use_encrypt, "UseEncrypt");
        $visit!(bool, $option.use_compress, "UseCompress");
        $visit!(bool, $option.half_connection, "HalfConnection");
        $visit!(bool, $option.no_routing_tracking, "NoRoutingTracking");
        $visit!(
            uint,
            $option.additional_connection_interval,
            "AdditionalConnectionInterval"
        );
        $visit!(
            uint,
            $option.connection_disconnect_span,
            "ConnectionDisconnectSpan"
        );
        $visit!(bool, $option.hide_status_window, "HideStatusWindow");
        $visit!(bool, $option.hide_nic_info_window, "HideNicInfoWindow");
        $visit!(bool, $option.require_monitor_mode, "RequireMonitorMode");
        $visit!(
            bool,
            $option.require_bridge_routing_mode,
            "RequireBridgeRoutingMode"
        );
        $visit!(bool, $option.disable_qos, "DisableQoS");
        $visit!(bool, $option.no_udp_acceleration, "NoUdpAcceleration");
    };
}

fn write_option(account: &Account, folder: &mut Folder) {
    let option = &account.option;
    macro_rules! write {
        ($kind:ident, $field:expr, $name:literal) => {
            folder.set($name, $field.clone())
        };
    }
    keys!(option, write);
    folder.set("AccountName", account.account_name.as_str());
    folder.set("ProxyType", u32::from(option.proxy_type));
    let password = hidden::hide(option.proxy_password.as_bytes());
    folder.set("ProxyPassword", password.as_slice());
}

fn read_option(folder: &Folder) -> Result<ConnectionOption, FileError> {
    let mut option = ConnectionOption::default();
    let within = |error: ConfigError| error.within("root/ClientOption");
    macro_rules! read {
        ($kind:ident, $field:expr, $name:literal) => {
            $field = folder
                .$kind($name)
                .map_err(within)?
                .unwrap_or_default()
                .into()
        };
    }
    keys!(option, read);
    option.proxy_type = folder
        .uint("ProxyType")
        .map_err(within)?
        .unwrap_or_default()
        .into();
    let password = folder.bytes("ProxyPassword").map_err(within)?.unwrap_or_default();
    option.proxy_password = shown(password, "ProxyPassword")?;
    Ok(option)
}

fn write_auth(auth: &ConnectionAuth, folder: &mut Folder) {
    folder.set("AuthType", u32::from(auth.auth_type));
    folder.set("Username", auth.username.as_str());
    let mut bytes = |name: &str, value: Option<&[u8]>| {
        if let Some(value) = value {
            folder.set(name, value);
        }
    };
    bytes(
        "HashedPassword",
        auth.hashed_password.as_ref().map(|hash| hash.as_slice()),
    );
    let plain = auth.plain_password.as_ref();
    let plain = plain.map(|password| hidden::hide(password.as_bytes()));
    bytes(
        "EncryptedPassword",
        plain.as_ref().map(|hidden| hidden.as_slice()),
    );
    bytes("ClientCert", auth.client_x.as_deref());
    bytes("ClientKey", auth.client_k.as_ref().map(|key| key.as_slice()));
    for (name, value) in [
        ("SecurePublicCertName", &auth.secure_public_cert_name),
        ("SecurePrivateKeyName", &auth.secure_private_key_name),
    ] {
        if let Some(value) = value {
            folder.set(name, value.as_str());
        }
    }
}

/// What belongs to another type of proof than the file's is left there, as stock services leave it.
fn read_auth(folder: &Folder) -> Result<ConnectionAuth, FileError> {
    let within = |error: ConfigError| error.within("root/ClientAuth");
    let bytes = |name| folder.bytes(name).map_err(within);
    let text = |name| {
        folder
            .string(name)
            .map_err(within)
            .map(|text| text.map(str::to_owned))
    };
    let mut auth = ConnectionAuth {
        auth_type: folder
            .uint("AuthType")
            .map_err(within)?
            .unwrap_or_default()
            .into(),
        username: text("Username")?.unwrap_or_default(),
        ..ConnectionAuth::default()
    };
    match auth.auth_type {
        LinkAuthType::Password => {
            auth.hashed_password = bytes("HashedPassword")?.map(|hash| Secret::new(hash.to_vec()));
        }
        LinkAuthType::PlainPassword => {
            let hidden = bytes("EncryptedPassword")?.unwrap_or_default();
            auth.plain_password = Some(shown(hidden, "EncryptedPassword")?);
        }
        LinkAuthType::Certificate => {
            auth.client_x = bytes("ClientCert")?.map(<[u8]>::to_vec);
            auth.client_k = bytes("ClientKey")?.map(|key| Secret::new(key.to_vec()));
        }
        LinkAuthType::SmartCard => {
            auth.secure_public_cert_name = text("SecurePublicCertName")?;
            auth.secure_private_key_name = text("SecurePrivateKeyName")?;
        }
        LinkAuthType::Anonymous | LinkAuthType::OpensslEngine | LinkAuthType::Other(_) => {}
    }
    Ok(auth)
}

pub(super) fn shown(password: &[u8], name: &'static str) -> Result<Secret<String>, FileError> {
    let bytes = hidden::hide(password);
    let text = std::str::from_utf8(&bytes).map_err(|_| FileError::Value(name))?;
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::cascade::ProxyType;

    fn account(auth: ConnectionAuth) -> Account {
        let mut option = ConnectionOption::usual();
        option.hostname = "vpn.example".to_owned();
        option.proxy_type = ProxyType::Socks5;
        option.proxy_password = Secret::new("pass wörd".to_owned());
        Account {
            account_name: "to the lab".to_owned(),
            startup: true,
            server_cert: Some(vec![1, 2, 3]),
            option,
            auth,
            ..Account::default()
        }
    }

    #[test]
    fn an_account_is_read_from_the_file_it_was_written_to() {
        let base = ConnectionAuth {
            username: "ann".to_owned(),
            ..ConnectionAuth::default()
        };
        let proofs = [
            ConnectionAuth {
                auth_type: LinkAuthType::Password,
                hashed_password: Some(Secret::new(vec![7; 20])),
                ..base.clone()
            },
            ConnectionAuth {
                auth_type: LinkAuthType::PlainPassword,
                plain_password: Some(Secret::new("secret".to_owned())),
                ..base.clone()
            },
            ConnectionAuth {
                auth_type: LinkAuthType::Certificate,
                client_x: Some(vec![1]),
                client_k: Some(Secret::new(vec![2])),
                ..base.clone()
            },
            base,
        ];
        for auth in proofs {
            let account = account(auth);
            let file = account.to_file();
            assert!(!file.contains("secret"));
            assert_eq!(Account::from_file(file.as_bytes()), Ok(account));
        }
    }

    #[test]
    fn a_file_of_the_stock_tool_is_written_as_it_was_read() {
        let stock = include_str!("../../../tests/data/client/account-password.vpn");
        let account = Account::from_file(stock.as_bytes()).unwrap();
        assert_eq!(account.account_name, "acc1");
        let settings = |file: &str| file[file.find("declare").unwrap()..].to_owned();
        assert_eq!(settings(&account.to_file()), settings(stock));
    }

    #[test]
    fn a_file_without_an_account_is_refused_with_what_it_lacks() {
        let error = Account::from_file(b"declare root\n{\n}\n").unwrap_err();
        assert_eq!(error, FileError::Missing("ClientOption"));
        let error = Account::from_file(b"garbage").unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
