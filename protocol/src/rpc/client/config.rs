//! The configuration file of a stock client service, `vpn_client.config` (client RPC §4).

use super::account::Account;
use super::adapter::AdapterRow;
use super::file::{FileError, shown};
use super::service::{CommonProxy, ManagerSetting, ServiceConfig};
use crate::config::{ConfigError, Folder};
use crate::rpc::Secret;
use crate::rpc::keep::Keep;

/// What a stock client service has stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StockConfig {
    /// Its accounts, each with its shortcut key.
    pub accounts: Vec<Account>,
    /// Its virtual network adapters.
    pub adapters: Vec<AdapterRow>,
    /// The authorities it trusts, DER.
    pub authorities: Vec<Vec<u8>>,
    /// What it does by itself, if the file says so.
    pub service: Option<ServiceConfig>,
    /// The proxy of accounts that use the system's, if the file says so.
    pub proxy: Option<CommonProxy>,
    /// How much a graphical manager shows, if the file says so.
    pub manager: Option<ManagerSetting>,
    /// SHA-0 of the service's password.
    pub password: Option<Secret<[u8; 20]>>,
    /// Whether callers on the same machine are asked for none.
    pub password_remote_only: bool,
    /// What was left out and why, a line each.
    pub notes: Vec<String>,
}

impl StockConfig {
    /// Reads the file. An account that cannot be read is left out and noted.
    ///
    /// # Errors
    /// It is no configuration file, or one of something else than a client service.
    pub fn parse(file: &[u8]) -> Result<Self, FileError> {
        let root = Folder::parse(file)?;
        let database = root
            .folder("AccountDatabase")
            .ok_or(FileError::Missing("AccountDatabase"))?;
        let mut config = Self {
            password: hash(&root, "EncryptedPassword")?,
            password_remote_only: root.bool("PasswordRemoteOnly")?.unwrap_or_default(),
            ..Self::default()
        };
        for folder in database.folders() {
            match account(folder) {
                Ok(account) => config.accounts.push(account),
                Err(error) => config
                    .notes
                    .push(format!("{} is left out: {error}", folder.name())),
            }
        }
        if let Some(adapters) = root.folder("UnixVLan") {
            config.adapters = adapters.folders().map(adapter).collect::<Result<_, _>>()?;
        }
        for folder in root.folder("RootCA").into_iter().flat_map(Folder::folders) {
            config
                .authorities
                .extend(folder.bytes("X509")?.map(<[u8]>::to_vec));
        }
        config.service = root.folder("Config").map(service).transpose()?;
        config.proxy = root.folder("CommonProxySetting").map(proxy).transpose()?;
        config.manager = root.folder("ClientManagerSetting").map(manager).transpose()?;
        Ok(config)
    }
}

fn text(folder: &Folder, name: &str) -> Result<String, ConfigError> {
    Ok(folder.string(name)?.unwrap_or_default().to_owned())
}

fn hash(folder: &Folder, name: &str) -> Result<Option<Secret<[u8; 20]>>, ConfigError> {
    let bytes = folder.bytes(name)?.and_then(|bytes| bytes.try_into().ok());
    Ok(bytes.map(Secret::new))
}

fn account(folder: &Folder) -> Result<Account, FileError> {
    let mut account = Account::from_folder(folder)?;
    let key = text(folder, "ShortcutKey")?;
    if let Some(key) = twenty_bytes(&key) {
        account.shortcut_key = key;
    }
    Ok(account)
}

fn twenty_bytes(hex: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    if hex.len() != 40 || !hex.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

fn adapter(folder: &Folder) -> Result<AdapterRow, ConfigError> {
    Ok(AdapterRow {
        device_name: folder.name().to_owned(),
        enabled: folder.bool("Enabled")?.unwrap_or(true),
        mac_address: text(folder, "MacAddress")?.replace(['-', ':'], ""),
        version: String::new(),
    })
}

fn service(folder: &Folder) -> Result<ServiceConfig, ConfigError> {
    Ok(ServiceConfig {
        keep: Keep {
            enabled: folder.bool("UseKeepConnect")?.unwrap_or_default(),
            host: text(folder, "KeepConnectHost")?,
            port: folder.uint("KeepConnectPort")?.unwrap_or_default(),
            protocol: folder.uint("KeepConnectProtocol")?.unwrap_or_default().into(),
            interval: folder.uint("KeepConnectInterval")?.unwrap_or_default(),
        },
        allow_remote: folder.bool("AllowRemoteConfig")?.unwrap_or_default(),
    })
}

fn proxy(folder: &Folder) -> Result<CommonProxy, FileError> {
    Ok(CommonProxy {
        proxy_type: folder.uint("ProxyType")?.unwrap_or_default().into(),
        host: text(folder, "ProxyHostName")?,
        port: folder.uint("ProxyPort")?.unwrap_or_default(),
        username: text(folder, "ProxyUsername")?,
        password: shown(
            folder.bytes("ProxyPassword")?.unwrap_or_default(),
            "ProxyPassword",
        )?,
        custom_http_header: text(folder, "CustomHttpHeader")?,
    })
}

fn manager(folder: &Folder) -> Result<ManagerSetting, ConfigError> {
    Ok(ManagerSetting {
        easy_mode: folder.bool("EasyMode")?.unwrap_or_default(),
        lock_mode: folder.bool("LockMode")?.unwrap_or_default(),
        hashed_password: Secret::new(folder.bytes("HashedPassword")?.unwrap_or_default().to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::cascade::LinkAuthType;

    #[test]
    fn the_file_of_a_stock_service_is_read_whole() {
        let config =
            StockConfig::parse(include_bytes!("../../../tests/data/client/vpn_client.config")).unwrap();
        let names: Vec<_> = config.accounts.iter().map(|a| a.account_name.as_str()).collect();
        assert_eq!(&names[..2], ["acc1", "acc2"]);
        let first = &config.accounts[0];
        assert_eq!(
            (first.option.hostname.as_str(), first.option.num_retry),
            ("10.77.0.1", 5)
        );
        assert_eq!(first.auth.auth_type, LinkAuthType::Password);
        assert!(first.startup);
        assert_eq!(first.shortcut_key[..2], [0xbf, 0xd3]);
        assert!(config.accounts[1].server_cert.is_some());
        assert_eq!(config.adapters.len(), 1);
        assert_eq!(config.adapters[0].device_name, "vpn1");
        assert_eq!(config.authorities.len(), 1);
        assert!(config.password.is_some());
        assert_eq!(config.service.unwrap().keep.port, 80);
        assert_eq!(config.notes, [""; 0]);
    }

    #[test]
    fn another_configuration_file_is_refused() {
        let error = StockConfig::parse(b"declare root\n{\n}\n").unwrap_err();
        assert_eq!(error, FileError::Missing("AccountDatabase"));
    }
}
