//! What a saved account means as a connection: the same that `vpnclient connect` makes of its options.

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use protocol::certificate::SigningKey;
use protocol::error::ErrorCode;
use protocol::password::PasswordHash;
use protocol::rpc::cascade::{LinkAuthType, ProxyType};
use protocol::rpc::client::account::{ConnectionAuth, RETRY_FOR_EVER};
use transport::dial::Target;
use transport::proxy::{Header, Kind, Login, Proxy};
use transport::tls::{Fingerprint, Trust};
use zeroize::Zeroizing;

use super::book::{Book, DEVICE_PREFIX, Entry};
use crate::cli::{Cli, Command, Connect, Saved};
use crate::failure::Failure;
use crate::login::{Hash, Proof};
use crate::profile::{Presence, Profile};
use crate::secret::Password;

/// Why an account is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No password is kept, and none was given.
    #[error("no password of {0} is kept; `vpnclient up` asks for it, AccountPasswordSet keeps one")]
    NoPassword(String),
    /// Something is missing or makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// There are no smart cards here.
    #[error("smart cards are not supported here; use a certificate in a file (AccountCertSet)")]
    SmartCard,
}

impl Unusable {
    /// What managers are told.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NoPassword(_) => ErrorCode::AccountIncomplete,
            Self::Wrong(_) => ErrorCode::InvalidParameter,
            Self::SmartCard => ErrorCode::SmartCardNotChosen,
        }
    }
}

impl From<Failure> for Unusable {
    fn from(failure: Failure) -> Self {
        Self::Wrong(failure.to_string())
    }
}

/// Options that belong to the account itself, or to the foreground.
const NOT_OPTIONS: &[&str] = &[
    "--hub",
    "--user",
    "--tap",
    "--json",
    "--once",
    "--keep-trying",
    "--verbose",
    "-v",
    "--name",
];

/// Checks an account's own options.
///
/// # Errors
/// What is wrong with them.
pub fn check_options(options: &[String]) -> Result<(), Failure> {
    let word = |option: &String| option.split('=').next().unwrap_or_default().to_owned();
    if let Some(wrong) = options
        .iter()
        .map(word)
        .find(|word| NOT_OPTIONS.contains(&word.as_str()))
    {
        return Err(Failure::Usage(format!(
            "{wrong} cannot be an option of an account"
        )));
    }
    let connect = parse(options, Vec::new(), "server")?;
    if connect.has_proof() {
        return Err(Failure::Usage(
            "how the user of an account logs in is set by vpncmd: AccountPasswordSet, AccountCertSet, AccountAnonymousSet"
                .to_owned(),
        ));
    }
    if connect.has_proxy() {
        return Err(Failure::Usage(
            "the proxy of an account is set by vpncmd: AccountProxyHttp, AccountProxySocks, AccountProxySocks5".to_owned(),
        ));
    }
    connect.check_files()
}

/// Whether an account takes part with a device.
pub(super) fn wants_device(entry: &Entry) -> bool {
    entry.options.is_empty() || parse(&entry.options, Vec::new(), "server").is_ok_and(|c| c.wants_device())
}

/// Reads options as those of `vpnclient connect`, with `words` that stand for the rest of an account.
fn parse(options: &[String], words: Vec<String>, server: &str) -> Result<Connect, Failure> {
    let given = |name: &str| words.iter().any(|word| word.starts_with(name));
    let mut line = vec!["vpnclient".to_owned(), "connect".to_owned()];
    for name in ["--hub", "--user"] {
        if !given(name) {
            line.push(format!("{name}=none"));
        }
    }
    line.extend(words);
    line.extend_from_slice(options);
    line.extend(["--".to_owned(), server.to_owned()]);
    match Cli::try_parse_from(line) {
        Ok(Cli {
            command: Command::Connect(connect),
        }) => Ok(*connect),
        Ok(_) => Err(Failure::Usage(
            "these are no options of `vpnclient connect`".to_owned(),
        )),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Err(Failure::Usage(first.trim_start_matches("error: ").to_owned()))
        }
    }
}

/// The words of the command line that an account's fields stand for, but for those that its own options name.
fn words(entry: &Entry) -> Vec<String> {
    let (option, auth) = (&entry.account.option, &entry.account.auth);
    let mut words = vec![
        format!("--hub={}", option.hub_name),
        format!("--user={}", auth.username),
    ];
    let connections = option.max_connection.clamp(1, 32);
    let flags = [
        (true, format!("--connections={connections}")),
        (option.half_connection, "--half-duplex".to_owned()),
        (option.use_compress, "--compress".to_owned()),
        (option.require_bridge_routing_mode, "--router".to_owned()),
        (option.no_udp_acceleration, "--no-udp".to_owned()),
        (option.no_routing_tracking, "--no-routes".to_owned()),
    ];
    let named = |word: &str| {
        let name = word.split('=').next().unwrap_or_default();
        is_named(entry, name)
            || name == "--no-routes" && is_named(entry, "--routes")
            || name == "--no-udp" && is_named(entry, "--udp")
    };
    let wanted = flags.into_iter().filter(|(set, word)| *set && !named(word));
    words.extend(wanted.map(|(_, word)| word));
    words
}

/// Whether an account's own options name this one.
fn is_named(entry: &Entry, name: &str) -> bool {
    entry
        .options
        .iter()
        .any(|option| option.split('=').next() == Some(name))
}

/// The connection of an account; `password` is for one that keeps none.
///
/// # Errors
/// Something is missing or makes no sense.
pub fn profile(book: &Book, entry: &Entry, password: Option<Zeroizing<String>>) -> Result<Profile, Unusable> {
    let option = &entry.account.option;
    let port = u16::try_from(option.port).unwrap_or_default();
    let target = Target {
        host: option.hostname.clone(),
        port,
    };
    let connect = parse(&entry.options, words(entry), &target.to_string())?;
    let proof = proof(&entry.account.auth, password)?;
    let mut profile = connect.profile_of(Saved {
        proof,
        trust: trust(book, entry),
        proxy: proxy(entry)?,
    })?;
    let seconds = |number: u32| Duration::from_secs(number.into());
    profile.settings.growth.interval = seconds(option.additional_connection_interval);
    profile.settings.growth.lifetime =
        Some(seconds(option.connection_disconnect_span)).filter(|span| !span.is_zero());
    let patience = &mut profile.settings.patience;
    if !is_named(entry, "--retries") {
        patience.tries = (option.num_retry != RETRY_FOR_EVER).then_some(option.num_retry);
    }
    if !is_named(entry, "--retry-interval") {
        patience.longest = seconds(option.retry_interval.max(1));
    }
    profile.settings.keep_trying = patience.tries != Some(0);
    profile.wish.options.qos = !option.disable_qos;
    profile.wish.options.monitor = option.require_monitor_mode;
    if let Presence::Device(device) = &mut profile.presence {
        let adapter = book.adapter(&option.device_name);
        device.tap = format!("{DEVICE_PREFIX}{}", option.device_name);
        device.mac = device.mac.or(adapter.map(|adapter| adapter.mac));
    }
    Ok(profile)
}

/// The proxy of an account.
fn proxy(entry: &Entry) -> Result<Option<Proxy>, Unusable> {
    let option = &entry.account.option;
    let kind = match option.proxy_type {
        ProxyType::Direct => return Ok(None),
        ProxyType::Http => Kind::Http,
        ProxyType::Socks4 => Kind::Socks4,
        ProxyType::Socks5 => Kind::Socks5,
        ProxyType::Other(number) => {
            return Err(Unusable::Wrong(format!("nobody knows a proxy of type {number}")));
        }
    };
    let place = format!("{}:{}", option.proxy_name, option.proxy_port);
    let server = place
        .parse()
        .map_err(|_| Unusable::Wrong(format!("{place} is no place of a proxy")))?;
    let headers: Result<Vec<Header>, _> = option
        .custom_http_header
        .lines()
        .filter(|line| !line.is_empty() && kind == Kind::Http)
        .map(str::parse)
        .collect();
    Ok(Some(Proxy {
        kind,
        server,
        login: (!option.proxy_username.is_empty()).then(|| Login {
            user: option.proxy_username.clone(),
            password: Zeroizing::new((*option.proxy_password).clone()),
        }),
        headers: headers.map_err(|e| Unusable::Wrong(format!("a header for the proxy: {e}")))?,
    }))
}

/// Whom an account believes. What is safe is the rule also for accounts that stock managers make without any check: a server
/// that no authority vouches for is believed only when somebody has said so.
fn trust(book: &Book, entry: &Entry) -> Trust {
    if let Some(certificate) = &entry.account.server_cert {
        return Trust::Pin(Fingerprint::of(&certificate.clone().into()));
    }
    if let Some(pin) = entry.pin {
        return Trust::Pin(pin);
    }
    if book.authorities.is_empty() {
        return Trust::System;
    }
    Trust::Authorities(book.authorities.iter().map(|der| der.clone().into()).collect())
}

/// Whether an account cannot connect before somebody gives its password.
#[must_use]
pub fn needs_password(entry: &Entry) -> bool {
    matches!(proof(&entry.account.auth, None), Err(Unusable::NoPassword(_)))
}

fn proof(auth: &ConnectionAuth, given: Option<Zeroizing<String>>) -> Result<Proof, Unusable> {
    let wrong = |text: &str| Unusable::Wrong(text.to_owned());
    let of_user = |text: Zeroizing<String>| Password::new(&auth.username, text);
    match auth.auth_type {
        LinkAuthType::Anonymous => Ok(Proof::Anonymous),
        LinkAuthType::Password => {
            if let Some(given) = given {
                return Ok(Proof::Password(Arc::new(of_user(given))));
            }
            let hash = auth.hashed_password.as_ref().filter(|hash| !hash.is_blank());
            let hash = hash.ok_or_else(|| Unusable::NoPassword(auth.username.clone()))?;
            let bytes = <[u8; 20]>::try_from(hash.as_slice());
            let bytes = bytes.map_err(|_| wrong("the hash of the password does not have 20 bytes"))?;
            Ok(Proof::Hashed(Hash::new(PasswordHash::new(bytes))))
        }
        LinkAuthType::PlainPassword => {
            let kept = auth
                .plain_password
                .as_ref()
                .filter(|password| !password.is_empty());
            let kept = kept.map(|password| Zeroizing::new((**password).clone()));
            let password = given
                .or(kept)
                .ok_or_else(|| Unusable::NoPassword(auth.username.clone()))?;
            Ok(Proof::Password(Arc::new(of_user(password).sent_itself())))
        }
        LinkAuthType::Certificate => {
            let (Some(certificate), Some(key)) = (&auth.client_x, &auth.client_k) else {
                return Err(wrong(
                    "the account has no certificate; AccountCertSet gives it one",
                ));
            };
            let key = SigningKey::from_der(key);
            Ok(Proof::Certificate {
                certificate: certificate.clone(),
                key: Box::new(key.map_err(|e| wrong(&format!("the key of the certificate: {e}")))?),
            })
        }
        LinkAuthType::SmartCard => Err(Unusable::SmartCard),
        LinkAuthType::OpensslEngine | LinkAuthType::Other(_) => Err(wrong(
            "this way to log in is not supported here; AccountPasswordSet and AccountCertSet set others",
        )),
    }
}

#[cfg(test)]
mod tests {
    use protocol::rpc::Secret;
    use protocol::rpc::client::account::ConnectionOption;

    use super::*;
    use crate::network::RouteMode;

    fn entry() -> Entry {
        let mut entry = Entry::default();
        entry.account.account_name = "lab".into();
        entry.account.option = ConnectionOption {
            hostname: "vpn.example.org".into(),
            port: 5555,
            hub_name: "my hub".into(),
            device_name: "lab".into(),
            ..ConnectionOption::usual()
        };
        entry.account.auth.username = "-alice".into();
        entry
    }

    fn options(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn device(profile: &Profile) -> &crate::attachment::DeviceSettings {
        match &profile.presence {
            Presence::Device(device) => device,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fields_of_managers_become_what_the_command_line_would_say() {
        let mut entry = entry();
        let option = &mut entry.account.option;
        option.max_connection = 8;
        option.half_connection = true;
        option.no_udp_acceleration = true;
        option.no_routing_tracking = true;
        option.num_retry = 5;
        option.additional_connection_interval = 0;
        option.connection_disconnect_span = 3600;
        let profile = profile(&Book::default(), &entry, None).unwrap();
        assert_eq!(profile.wish.target.to_string(), "vpn.example.org:5555");
        assert_eq!(profile.wish.identity.hub, "my hub");
        assert_eq!(profile.wish.identity.user, "-alice");
        assert!(profile.wish.options.half_connection && profile.wish.options.qos);
        assert_eq!((profile.wish.udp, profile.settings.growth.connections), (None, 8));
        let growth = profile.settings.growth;
        assert_eq!(
            (growth.interval, growth.lifetime),
            (Duration::ZERO, Some(Duration::from_secs(3600)))
        );
        assert_eq!(profile.settings.patience.tries, Some(5));
        assert_eq!(profile.settings.patience.longest, Duration::from_secs(15));
        let device = device(&profile);
        assert_eq!((device.tap.as_str(), device.routes), ("vpn_lab", RouteMode::None));
    }

    #[test]
    fn own_options_count_before_the_fields() {
        let mut entry = entry();
        entry.account.option.no_routing_tracking = true;
        entry.options = options("--routes split --no-dns --connections 4 --retries 2 --retry-interval=7");
        let profile = profile(&Book::default(), &entry, None).unwrap();
        assert_eq!(device(&profile).routes, RouteMode::Pushed);
        assert!(!device(&profile).dns);
        assert_eq!(profile.settings.growth.connections, 4);
        let patience = profile.settings.patience;
        assert_eq!(
            (patience.tries, patience.longest),
            (Some(2), Duration::from_secs(7))
        );
        entry.options = options("--socks5 1080");
        assert!(!wants_device(&entry));
    }

    #[test]
    fn no_check_of_the_server_never_means_anybody() {
        let mut entry = entry();
        entry.account.check_server_cert = false;
        let trusts = |book: &Book, entry: &Entry| profile(book, entry, None).unwrap().wish.trust;
        let mut book = Book::default();
        assert!(matches!(trusts(&book, &entry), Trust::System));
        book.authorities.push(vec![1]);
        assert!(matches!(trusts(&book, &entry), Trust::Authorities(_)));
        entry.pin = Some(Fingerprint::of(&vec![2].into()));
        assert!(matches!(trusts(&book, &entry), Trust::Pin(_)));
        entry.account.server_cert = Some(vec![3]);
        let pinned = Fingerprint::of(&vec![3].into());
        assert!(matches!(trusts(&book, &entry), Trust::Pin(pin) if pin == pinned));
        entry.options = options("--insecure");
        assert!(matches!(trusts(&book, &entry), Trust::Insecure));
    }

    #[test]
    fn a_password_that_is_not_kept_is_asked_for() {
        let mut entry = entry();
        entry.account.auth.auth_type = LinkAuthType::Password;
        entry.account.auth.hashed_password = Some(Secret::new(vec![0; 20]));
        assert!(needs_password(&entry));
        let refused = profile(&Book::default(), &entry, None).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::AccountIncomplete);
        let given = Some(Zeroizing::new("secret".to_owned()));
        assert!(profile(&Book::default(), &entry, given).is_ok());
        entry.account.auth.hashed_password = Some(Secret::new(vec![7; 20]));
        assert!(!needs_password(&entry));
    }

    #[test]
    fn options_that_are_none_of_an_account_are_refused_in_one_line() {
        assert!(check_options(&options("--no-dns --routes split --insecure")).is_ok());
        for wrong in [
            "--hub other",
            "--hub=other",
            "--nonsense",
            "--password-file x",
            "--key-password-file x",
            "--anonymous",
            "--tap x",
            "--json",
            "--routes nowhere",
            "--ca /nonexistent/ca.pem",
            "extra",
        ] {
            let error = check_options(&options(wrong)).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
