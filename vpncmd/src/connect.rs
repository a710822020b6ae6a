//! The way to the server: which one, over what, believed why, and with which password.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use protocol::{
    error::ErrorCode,
    pack::Pack,
    password,
    rpc::{Nothing, method::EnumListener},
};
use tokio::runtime::{Builder, Runtime};
use transport::{
    admin::{AdminClient, AdminError},
    dial::{self, DialError, Dialed, Target},
    folders,
    known::KnownServers,
    tls::Trust,
};
use zeroize::Zeroizing;

use crate::{
    console::Console,
    failure::{Failure, Outcome},
    options::Options,
    shell::Server,
    text,
};

/// A connection to a server's administration. When it breaks, the call that noticed fails, for nobody knows whether
/// the server still did what it was asked; the next call makes a new one.
pub struct Remote {
    runtime: Runtime,
    client: Option<AdminClient>,
    options: Options,
    target: Target,
    password: Zeroizing<String>,
}

impl Server for Remote {
    fn call(&mut self, method: &str, request: &Pack) -> Result<Pack, ErrorCode> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self
                .reach()
                .map_err(|failure| ErrorCode::from_code(failure.code()))?,
        };
        let answer = self.runtime.block_on(client.call_pack(method, request.clone()));
        if matches!(answer, Ok(_) | Err(AdminError::Refused(_))) {
            self.client = Some(client);
        }
        answer.map_err(|error| match error {
            AdminError::Refused(code) => code,
            AdminError::Unreadable(_) => ErrorCode::Protocol,
            _ => ErrorCode::Disconnected,
        })
    }
}

impl Remote {
    /// A new connection, over the control socket where that is the way, otherwise over the network.
    fn reach(&self) -> Outcome<AdminClient> {
        self.runtime.block_on(async {
            match local(&self.options, &self.target).await? {
                Some(client) => Ok(client),
                None => login(&self.options, &self.target, &self.password).await,
            }
        })
    }
}

/// Connects as the options say.
///
/// # Errors
/// The server cannot be reached, is not believed, or refuses.
pub fn connect(options: &Options, console: &mut Console) -> Outcome<Remote> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Local(format!("Cannot start: {error}.")))?;
    let text = options.host.as_deref().unwrap_or("localhost");
    let target: Target = text
        .parse()
        .map_err(|error: dial::NotATarget| Failure::Invalid(text::sentence(&error)))?;
    let password = given_password(options)?;
    let mut remote = Remote {
        runtime,
        client: None,
        options: options.clone(),
        target,
        password,
    };
    loop {
        match remote.reach() {
            Ok(client) => {
                remote.client = Some(client);
                return Ok(remote);
            }
            Err(Failure::Refused(ErrorCode::AccessDenied)) if console.interactive() && console.may_ask() => {
                console.print_line(
                    "Access has been denied: the password is wrong, or it is another administrator's. Ctrl+D cancels.",
                );
                let typed = console.password("Password: ")?;
                remote.password = typed.ok_or(Failure::Refused(ErrorCode::AccessDenied))?;
                console.print_line("");
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// The password of the start-up line; without one the empty password is tried, as stock scripts expect.
pub(crate) fn given_password(options: &Options) -> Outcome<Zeroizing<String>> {
    let Some(path) = &options.password_file else {
        return Ok(options.password.clone().unwrap_or_default());
    };
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::Local(format!(
            "Cannot read the password file {}: {error}.",
            path.display()
        ))
    })?;
    let text = Zeroizing::new(text);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

async fn login(options: &Options, target: &Target, text: &str) -> Outcome<AdminClient> {
    let dialed = believed(options, target).await?;
    let hash = password::admin_hash(text.as_bytes());
    AdminClient::login(dialed, options.hub.as_deref(), &hash)
        .await
        .map_err(|error| match error {
            AdminError::Refused(code) => Failure::Refused(code),
            AdminError::Dial(error) => unreached(&error),
            other => Failure::Failed {
                code: ErrorCode::Disconnected,
                text: text::sentence(&other),
            },
        })
}

/// A connection to a server that is believed: by authority or pin where one is given, without question on this
/// machine and with --insecure, otherwise because it shows the certificate it showed the first time.
async fn believed(options: &Options, target: &Target) -> Outcome<Dialed> {
    let explicit = if let Some(file) = &options.ca {
        Some(Trust::from_file(file).map_err(|error| Failure::Local(text::sentence(&error)))?)
    } else if let Some(pin) = &options.pin {
        Some(Trust::Pin(
            pin.parse()
                .map_err(|error| Failure::Invalid(text::sentence(&error)))?,
        ))
    } else {
        (options.insecure || is_this_machine(target)).then_some(Trust::Insecure)
    };
    let known = match explicit {
        Some(trust) => {
            return dial::dial(target, &trust, &mut |_| {})
                .await
                .map_err(|error| unreached(&error));
        }
        None => folders::settings().map(|folder| KnownServers::at(folder.join("known_servers"))),
    };
    let Some(known) = known else {
        eprintln!(
            "vpncmd: without a home folder the certificate of {target} cannot be remembered and is not checked"
        );
        return dial::dial(target, &Trust::Insecure, &mut |_| {})
            .await
            .map_err(|error| unreached(&error));
    };
    as_the_first_time(target, &known).await
}

async fn as_the_first_time(target: &Target, known: &KnownServers) -> Outcome<Dialed> {
    let file = known.path().display();
    let remembered = known
        .find(target)
        .map_err(|error| Failure::Local(format!("Cannot use {file}: {error}. Mend or remove it.")))?;
    if let Some(remembered) = remembered {
        let fingerprint = remembered.fingerprint;
        return dial::dial(target, &Trust::Pin(fingerprint), &mut |_| {}).await.map_err(|error| match error {
            DialError::Untrusted(untrusted) => Failure::Failed {
                code: ErrorCode::CertificateNotTrusted,
                text: format!(
                    "{target} shows another certificate than the first time: someone may be in between.\n\
                     It showed {fingerprint} then and {shown} now.\n\
                     If the server has been given a new one, remove its line from {file}, or use --pin {shown}.",
                    shown = untrusted.fingerprint()
                ),
            },
            other => unreached(&other),
        });
    }
    let dialed = dial::dial(target, &Trust::Insecure, &mut |_| {})
        .await
        .map_err(|error| unreached(&error))?;
    let fingerprint = dialed.fingerprint();
    // On the error stream, where no script looks for results.
    match known.remember(target, fingerprint, SystemTime::now()) {
        Ok(()) => eprintln!("vpncmd: {target} is new here; remembered its certificate {fingerprint}"),
        Err(error) => eprintln!("vpncmd: {target} is new here, and cannot be remembered in {file}: {error}"),
    }
    Ok(dialed)
}

fn unreached(error: &DialError) -> Failure {
    let code = match error {
        DialError::Untrusted(_) => ErrorCode::CertificateNotTrusted,
        DialError::NotAVpnServer { .. } | DialError::Tls { .. } => ErrorCode::NotVpnServer,
        DialError::Closed { .. } | DialError::Broken { .. } => ErrorCode::Disconnected,
        _ => ErrorCode::ConnectFailed,
    };
    Failure::Failed {
        code,
        text: text::sentence(&error),
    }
}

fn is_this_machine(target: &Target) -> bool {
    is_loopback(&target.host)
}

/// Whether a host is this machine, by name or by address.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The server's control socket, which asks for no password. It is used when the options name it, and otherwise for a
/// server on this machine unless a password is given or a hub's administrator is meant.
async fn local(options: &Options, target: &Target) -> Outcome<Option<AdminClient>> {
    let named = options
        .socket
        .clone()
        .or_else(|| options.data_dir.as_deref().map(control_socket));
    if let Some(path) = named {
        let client = AdminClient::local(&path, options.hub.as_deref()).await;
        return client.map(Some).map_err(|error| match error {
            AdminError::Refused(code) => Failure::Refused(code),
            other => Failure::Failed {
                code: ErrorCode::ConnectFailed,
                text: text::sentence(&other),
            },
        });
    }
    let no_password = options
        .password
        .as_ref()
        .is_none_or(|password| password.is_empty());
    let as_server = options.hub.is_none() && no_password && options.password_file.is_none();
    let own_trust = options.ca.is_some() || options.pin.is_some() || options.insecure;
    let path = control_socket(&data_dir());
    let there = fs::metadata(&path).is_ok_and(|meta| meta.file_type().is_socket());
    if !is_this_machine(target) || !as_server || own_trust || !there {
        return Ok(None);
    }
    // Another server than ours may be behind the port that was asked for.
    let Ok(mut client) = AdminClient::local(&path, None).await else {
        return Ok(None);
    };
    let Ok(list) = client.call::<EnumListener>(&Nothing {}).await else {
        return Ok(None);
    };
    let ours = list
        .listeners
        .iter()
        .any(|row| row.enabled && !row.error && row.port == u32::from(target.port));
    let any_port = options.host.as_deref().is_none_or(|host| !host.contains(':'));
    Ok((ours || any_port).then_some(client))
}

fn control_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// The data folder of a server that was started without saying which.
fn data_dir() -> PathBuf {
    let folder = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(named) = folder("HUBWARD_DATA_DIR") {
        return named;
    }
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/hubward");
    }
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")));
    state.unwrap_or_else(|| PathBuf::from(".")).join("hubward")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        for (host, local) in [
            ("localhost", true),
            ("LOCALHOST:5555", true),
            ("127.0.0.1", true),
            ("127.1.2.3:443", true),
            ("[::1]:443", true),
            ("localhost.example", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_this_machine(&host.parse().unwrap()), local, "{host}");
        }
    }
}
