//! The tables of the two files, and what of the book stands where.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::rpc::cascade::{LinkAuthType, ProxyType};
use protocol::rpc::client::account::{Account, ConnectionAuth, ConnectionOption, RETRY_FOR_EVER};
use protocol::rpc::client::service::{ManagerSetting, ServiceConfig};
use protocol::rpc::keep::{Keep, KeepProtocol};
use protocol::rpc::{Secret, Timestamp};
use serde::{Deserialize, Serialize};
use transport::tls::Fingerprint;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::service::book::{Adapter, Book, Entry};

/// The version of the settings file.
const VERSION: u32 = 1;

/// Gives secrets the number by which settings name them; none where there are none.
pub(super) type Numbering<'a> = &'a mut dyn FnMut(Secrets) -> Option<String>;

/// What one account, or the service, has to hide. Binary values are base64.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(super) struct Secrets {
    #[serde(default, skip_serializing_if = "is_default")]
    password: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    password_hash: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    proxy_password: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    shortcut_key: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    manager_hash: Option<String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// `secrets.toml`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SecretsFile {
    pub(super) secret: BTreeMap<String, Secrets>,
}

/// `service.toml`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SettingsFile {
    version: u32,
    service: ServiceTable,
    keep_alive: KeepTable,
    adapter: Vec<AdapterTable>,
    authority: Vec<AuthorityTable>,
    account: Vec<AccountTable>,
}

impl Default for SettingsFile {
    fn default() -> Self {
        let mut none = |_| None;
        Self::of(&Book::default(), &mut none)
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ServiceTable {
    /// Calls of other machines are taken.
    allow_remote: bool,
    /// Callers on this machine are asked for no password.
    password_remote_only: bool,
    #[serde(skip_serializing_if = "is_default")]
    easy_mode: bool,
    #[serde(skip_serializing_if = "is_default")]
    lock_mode: bool,
    #[serde(skip_serializing_if = "is_default")]
    card_device: u32,
    #[serde(skip_serializing_if = "is_default")]
    secret: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeepTable {
    enabled: bool,
    host: String,
    port: u32,
    udp: bool,
    interval_s: u32,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProxyTable {
    /// `http`, `socks4` or `socks5`; `direct` is none.
    kind: ProxyKind,
    host: String,
    port: u32,
    #[serde(skip_serializing_if = "is_default")]
    user: String,
    #[serde(skip_serializing_if = "is_default")]
    http_headers: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProxyKind {
    #[default]
    Direct,
    Http,
    Socks4,
    Socks5,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdapterTable {
    name: String,
    mac: String,
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    enabled: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityTable {
    certificate: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LoginKind {
    #[default]
    Anonymous,
    /// By the hash of a password.
    Hash,
    Password,
    Certificate,
    SmartCard,
    Engine,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    name: String,
    server: String,
    port: u32,
    hub: String,
    user: String,
    login: LoginKind,
    /// Connect when the service starts.
    #[serde(default)]
    startup: bool,
    adapter: String,
    /// What `vpnclient connect` takes beyond these.
    #[serde(default, skip_serializing_if = "is_default")]
    options: Vec<String>,
    /// The server's certificate that was accepted.
    #[serde(default, skip_serializing_if = "is_default")]
    pin: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    check_certificate: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    retry_on_certificate: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    server_certificate: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    system_authorities: Option<bool>,
    #[serde(default, skip_serializing_if = "is_default")]
    user_certificate: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    card_certificate: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    card_key: Option<String>,
    #[serde(default = "one")]
    connections: u32,
    /// Tries after one another that may fail; absent for any number.
    #[serde(default, skip_serializing_if = "is_default")]
    retries: Option<u32>,
    retry_interval_s: u32,
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    encrypt: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    compress: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    half_duplex: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    no_routes: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    bridge: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    monitor: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    no_qos: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    no_udp: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    proxy: ProxyTable,
    /// What is kept for managers alone.
    #[serde(default, skip_serializing_if = "is_default")]
    manager: ManagerTable,
    #[serde(default, skip_serializing_if = "is_default")]
    created_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    updated_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    last_connected_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    secret: Option<String>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ManagerTable {
    #[serde(skip_serializing_if = "is_default")]
    port_udp: u32,
    #[serde(skip_serializing_if = "is_default")]
    connection_interval_s: u32,
    #[serde(skip_serializing_if = "is_default")]
    connection_lifetime_s: u32,
    #[serde(skip_serializing_if = "is_default")]
    hide_status: bool,
    #[serde(skip_serializing_if = "is_default")]
    hide_adapter: bool,
    #[serde(skip_serializing_if = "is_default")]
    from_admin_pack: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands it over so
fn is_true(value: &bool) -> bool {
    *value
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text)
        .map_err(|e| format!("a binary value is no base64: {e}"))
}

fn twenty(text: &str) -> Result<[u8; 20], String> {
    bytes(text)?
        .try_into()
        .map_err(|_| "a hash or key does not have 20 bytes".to_owned())
}

impl SettingsFile {
    /// The settings that say what the book says, with its secrets handed to `number`.
    pub(super) fn of(book: &Book, number: Numbering<'_>) -> Self {
        let secrets = Secrets {
            password: None,
            password_hash: book.has_password().then(|| text(&book.password[..])),
            key: None,
            proxy_password: None,
            shortcut_key: None,
            manager_hash: Some(text(&book.manager.hashed_password)).filter(|hash| !hash.is_empty()),
        };
        let keep = &book.config.keep;
        Self {
            version: VERSION,
            service: ServiceTable {
                allow_remote: book.config.allow_remote,
                password_remote_only: book.password_remote_only,
                easy_mode: book.manager.easy_mode,
                lock_mode: book.manager.lock_mode,
                card_device: book.card_device,
                secret: number(secrets),
            },
            keep_alive: KeepTable {
                enabled: keep.enabled,
                host: keep.host.clone(),
                port: keep.port,
                udp: keep.protocol == KeepProtocol::Udp,
                interval_s: keep.interval,
            },
            adapter: book.adapters.iter().map(adapter_table).collect(),
            authority: book
                .authorities
                .iter()
                .map(|der| AuthorityTable {
                    certificate: text(der),
                })
                .collect(),
            account: book
                .accounts
                .iter()
                .map(|entry| account_table(entry, number))
                .collect(),
        }
    }

    /// The book that the settings and their secrets say.
    ///
    /// # Errors
    /// What makes no sense in them.
    pub(super) fn into_book(self, secrets: &SecretsFile) -> Result<Book, String> {
        if self.version != VERSION {
            return Err(format!(
                "it is of version {}, this program knows {VERSION}",
                self.version
            ));
        }
        let known = |number: &Option<String>| find(secrets, number.as_deref());
        let own = known(&self.service.secret)?;
        let mut book = Book {
            password_remote_only: self.service.password_remote_only,
            config: ServiceConfig {
                keep: Keep {
                    enabled: self.keep_alive.enabled,
                    host: self.keep_alive.host,
                    port: self.keep_alive.port,
                    protocol: if self.keep_alive.udp {
                        KeepProtocol::Udp
                    } else {
                        KeepProtocol::Tcp
                    },
                    interval: self.keep_alive.interval_s,
                },
                allow_remote: self.service.allow_remote,
            },
            manager: ManagerSetting {
                easy_mode: self.service.easy_mode,
                lock_mode: self.service.lock_mode,
                hashed_password: Secret::new(bytes(own.manager_hash.as_deref().unwrap_or_default())?),
            },
            card_device: self.service.card_device,
            ..Book::default()
        };
        if let Some(hash) = &own.password_hash {
            book.password = Secret::new(twenty(hash)?);
        }
        for table in self.adapter {
            book.adapters.push(adapter(table)?);
        }
        for table in self.authority {
            book.authorities.push(bytes(&table.certificate)?);
        }
        for table in self.account {
            let own = known(&table.secret)?;
            let name = table.name.clone();
            if book.account(&name).is_some() {
                return Err(format!("there are two accounts {name:?}"));
            }
            let entry = account(table, &own).map_err(|why| format!("account {name:?}: {why}"))?;
            book.accounts.push(entry);
        }
        Ok(book)
    }
}

fn find(secrets: &SecretsFile, number: Option<&str>) -> Result<Secrets, String> {
    let Some(number) = number else {
        return Ok(Secrets::default());
    };
    secrets
        .secret
        .get(number)
        .cloned()
        .ok_or_else(|| format!("secrets.toml has no secret {number}"))
}

fn filled(secret: &Secret<String>) -> Option<String> {
    Some((**secret).clone()).filter(|text| !text.is_empty())
}

fn adapter_table(adapter: &Adapter) -> AdapterTable {
    AdapterTable {
        name: adapter.name.clone(),
        mac: netdev::mac::text(adapter.mac),
        enabled: adapter.enabled,
    }
}

fn adapter(table: AdapterTable) -> Result<Adapter, String> {
    let mac = netdev::mac::parse(&table.mac);
    Ok(Adapter {
        mac: mac.ok_or_else(|| format!("{} is no hardware address", table.mac))?,
        name: table.name,
        enabled: table.enabled,
    })
}

fn account_table(entry: &Entry, number: Numbering<'_>) -> AccountTable {
    let Account { option, auth, .. } = &entry.account;
    let account = &entry.account;
    let secrets = Secrets {
        password: auth.plain_password.as_ref().and_then(filled),
        password_hash: auth.hashed_password.as_ref().map(|hash| text(hash)),
        key: auth.client_k.as_ref().map(|key| text(key)),
        proxy_password: filled(&option.proxy_password),
        shortcut_key: (account.shortcut_key != [0; 20]).then(|| text(&account.shortcut_key)),
        manager_hash: None,
    };
    let millis = |time: Option<Timestamp>| time.map(|time| time.0).filter(|time| *time != 0);
    AccountTable {
        name: account.account_name.clone(),
        server: option.hostname.clone(),
        port: option.port,
        hub: option.hub_name.clone(),
        user: auth.username.clone(),
        login: auth.auth_type.into(),
        startup: account.startup,
        adapter: option.device_name.clone(),
        options: entry.options.clone(),
        pin: entry.pin.map(|pin| pin.to_string()),
        check_certificate: account.check_server_cert,
        retry_on_certificate: account.retry_on_server_cert,
        server_certificate: account.server_cert.as_deref().map(text),
        system_authorities: account.add_default_ca,
        user_certificate: auth.client_x.as_deref().map(text),
        card_certificate: auth.secure_public_cert_name.clone(),
        card_key: auth.secure_private_key_name.clone(),
        connections: option.max_connection,
        retries: (option.num_retry != RETRY_FOR_EVER).then_some(option.num_retry),
        retry_interval_s: option.retry_interval,
        encrypt: option.use_encrypt,
        compress: option.use_compress,
        half_duplex: option.half_connection,
        no_routes: option.no_routing_tracking,
        bridge: option.require_bridge_routing_mode,
        monitor: option.require_monitor_mode,
        no_qos: option.disable_qos,
        no_udp: option.no_udp_acceleration,
        proxy: ProxyTable {
            kind: option.proxy_type.into(),
            host: option.proxy_name.clone(),
            port: option.proxy_port,
            user: option.proxy_username.clone(),
            http_headers: option.custom_http_header.clone(),
        },
        manager: ManagerTable {
            port_udp: option.port_udp,
            connection_interval_s: option.additional_connection_interval,
            connection_lifetime_s: option.connection_disconnect_span,
            hide_status: option.hide_status_window,
            hide_adapter: option.hide_nic_info_window,
            from_admin_pack: option.from_admin_pack,
        },
        created_ms: millis(account.created),
        updated_ms: millis(account.updated),
        last_connected_ms: millis(account.last_connected),
        secret: number(secrets),
    }
}

fn account(table: AccountTable, secrets: &Secrets) -> Result<Entry, String> {
    let pin = table.pin.map(|pin| pin.parse::<Fingerprint>()).transpose();
    let optional = |text: Option<String>| text.map(|text| bytes(&text)).transpose();
    let secret = |text: &Option<String>| text.as_deref().map(bytes).transpose();
    let account = Account {
        account_name: table.name,
        startup: table.startup,
        check_server_cert: table.check_certificate,
        retry_on_server_cert: table.retry_on_certificate,
        server_cert: optional(table.server_certificate)?,
        add_default_ca: table.system_authorities,
        shortcut_key: secrets
            .shortcut_key
            .as_deref()
            .map(twenty)
            .transpose()?
            .unwrap_or_default(),
        option: ConnectionOption {
            hostname: table.server,
            port: table.port,
            port_udp: table.manager.port_udp,
            hub_name: table.hub,
            device_name: table.adapter,
            proxy_type: table.proxy.kind.into(),
            proxy_name: table.proxy.host,
            proxy_port: table.proxy.port,
            proxy_username: table.proxy.user,
            proxy_password: Secret::new(secrets.proxy_password.clone().unwrap_or_default()),
            custom_http_header: table.proxy.http_headers,
            num_retry: table.retries.unwrap_or(RETRY_FOR_EVER),
            retry_interval: table.retry_interval_s,
            max_connection: table.connections,
            use_encrypt: table.encrypt,
            use_compress: table.compress,
            half_connection: table.half_duplex,
            no_routing_tracking: table.no_routes,
            additional_connection_interval: table.manager.connection_interval_s,
            connection_disconnect_span: table.manager.connection_lifetime_s,
            hide_status_window: table.manager.hide_status,
            hide_nic_info_window: table.manager.hide_adapter,
            require_monitor_mode: table.monitor,
            require_bridge_routing_mode: table.bridge,
            disable_qos: table.no_qos,
            from_admin_pack: table.manager.from_admin_pack,
            no_udp_acceleration: table.no_udp,
            ..ConnectionOption::default()
        },
        auth: ConnectionAuth {
            auth_type: table.login.into(),
            username: table.user,
            hashed_password: secret(&secrets.password_hash)?.map(Secret::new),
            plain_password: secrets.password.clone().map(Secret::new),
            client_x: optional(table.user_certificate)?,
            client_k: secret(&secrets.key)?.map(Secret::new),
            secure_public_cert_name: table.card_certificate,
            secure_private_key_name: table.card_key,
            ..ConnectionAuth::default()
        },
        created: table.created_ms.map(Timestamp),
        updated: table.updated_ms.map(Timestamp),
        last_connected: table.last_connected_ms.map(Timestamp),
    };
    Ok(Entry {
        account,
        options: table.options,
        pin: pin.map_err(|e| e.to_string())?,
    })
}

impl From<ProxyType> for ProxyKind {
    fn from(kind: ProxyType) -> Self {
        match kind {
            ProxyType::Http => Self::Http,
            ProxyType::Socks4 => Self::Socks4,
            ProxyType::Socks5 => Self::Socks5,
            ProxyType::Direct | ProxyType::Other(_) => Self::Direct,
        }
    }
}

impl From<ProxyKind> for ProxyType {
    fn from(kind: ProxyKind) -> Self {
        match kind {
            ProxyKind::Direct => Self::Direct,
            ProxyKind::Http => Self::Http,
            ProxyKind::Socks4 => Self::Socks4,
            ProxyKind::Socks5 => Self::Socks5,
        }
    }
}

impl From<LinkAuthType> for LoginKind {
    fn from(kind: LinkAuthType) -> Self {
        match kind {
            LinkAuthType::Anonymous | LinkAuthType::Other(_) => Self::Anonymous,
            LinkAuthType::Password => Self::Hash,
            LinkAuthType::PlainPassword => Self::Password,
            LinkAuthType::Certificate => Self::Certificate,
            LinkAuthType::SmartCard => Self::SmartCard,
            LinkAuthType::OpensslEngine => Self::Engine,
        }
    }
}

impl From<LoginKind> for LinkAuthType {
    fn from(kind: LoginKind) -> Self {
        match kind {
            LoginKind::Anonymous => Self::Anonymous,
            LoginKind::Hash => Self::Password,
            LoginKind::Password => Self::PlainPassword,
            LoginKind::Certificate => Self::Certificate,
            LoginKind::SmartCard => Self::SmartCard,
            LoginKind::Engine => Self::OpensslEngine,
        }
    }
}
