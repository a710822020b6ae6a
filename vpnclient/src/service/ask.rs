//! What `vpnclient up`, `down`, `accounts`, `options` and `import` ask of the running service.

use std::path::Path;

use protocol::error::ErrorCode;
use protocol::rpc::Nothing;
use protocol::rpc::cascade::ProxyType;
use protocol::rpc::client::account::Account;
use protocol::rpc::client::adapter::{AdapterAddress, AdapterName};
use protocol::rpc::client::authority::NewAuthority;
use protocol::rpc::client::config::StockConfig;
use protocol::rpc::client::method::{
    AddCa, CreateAccount, CreateVLan, DisableVLan, EnumVLan, SetClientConfig, SetCmSetting, SetVLan,
};
use serde_json::{Value, json};
use tokio::io::BufReader;
use tokio::net::UnixStream;
use transport::client_service::{ServiceClient, ServiceError};

use crate::cli;
use crate::control::{Folder, Request, SERVICE, read_answer};
use crate::failure::Failure;
use crate::password;
use crate::report::{Event, Reporter};
use crate::status::Status;

type Stream = BufReader<UnixStream>;

async fn call(folder: &Folder) -> Result<Stream, Failure> {
    if !folder.names().iter().any(|name| name == SERVICE) {
        return Err(Failure::Local(
            "no client service of this user runs; start it: vpnclient run, or as root: systemctl start hubward-vpnclient"
                .to_owned(),
        ));
    }
    folder.call(Some(SERVICE)).await.map(BufReader::new)
}

async fn ask(stream: &mut Stream, request: &Request) -> Result<Value, Failure> {
    let answer = request.put(stream).await.map_err(|e| gone(&e))?;
    match answer["error"].as_str() {
        Some(error) => Err(Failure::told(
            error,
            answer["reason"].as_str().unwrap_or_default(),
        )),
        None => Ok(answer),
    }
}

fn gone(error: &std::io::Error) -> Failure {
    Failure::Local(format!("the service has gone: {error}"))
}

/// Connects an account and tells what happens until it is connected, or cannot be.
///
/// # Errors
/// The service does not run, or the connection is refused.
pub async fn up(folder: &Folder, wanted: &cli::Up, reporter: &Reporter) -> Result<(), Failure> {
    let mut password = None;
    let mut stream = loop {
        let mut stream = call(folder).await?;
        let request = Request::Up {
            name: wanted.name.clone(),
            password: password.clone(),
            pin: wanted.pin,
        };
        let answer = ask(&mut stream, &request).await?;
        let Some(user) = answer["password_of"].as_str() else {
            break stream;
        };
        let given = password::obtain(wanted.password_file.as_deref(), user)?;
        if let Some(note) = given.note {
            reporter.show(&Event::Note(note));
        }
        password = Some(given.text);
    };
    loop {
        let line = read_answer(&mut stream).await.map_err(|e| gone(&e))?;
        let text = line["text"].as_str().unwrap_or_default();
        let failed = line["event"]["event"] == "failed";
        if failed {
            let event = &line["event"];
            let reason = event["reason"].as_str().unwrap_or_default();
            return Err(Failure::told(event["message"].as_str().unwrap_or(text), reason));
        }
        reporter.print(text, line["passing"] == true, &line["event"]);
        if line["done"] == true {
            return Ok(());
        }
    }
}

/// Disconnects an account.
///
/// # Errors
/// The service does not run, or the account is not connected.
pub async fn down(folder: &Folder, name: &str) -> Result<(), Failure> {
    let mut stream = call(folder).await?;
    ask(&mut stream, &Request::Down(name.to_owned())).await.map(drop)
}

/// Lists the accounts.
///
/// # Errors
/// The service does not run.
pub async fn accounts(folder: &Folder, as_json: bool) -> Result<String, Failure> {
    let mut stream = call(folder).await?;
    let answer = ask(&mut stream, &Request::Status).await?;
    let accounts: Vec<Status> = serde_json::from_value(answer["clients"].clone())
        .map_err(|e| Failure::Refused(format!("the service's answer cannot be read: {e}")))?;
    if as_json {
        return Ok(format!("{}\n", json!({ "accounts": accounts })));
    }
    let lines = accounts.iter().map(|status| {
        let mut line = format!(
            "{}: {}, {} on hub {} as {}\n",
            status.name,
            status.state.words(),
            status.server,
            status.hub,
            status.user
        );
        if let Some(reason) = &status.error {
            line += &format!("  {reason}\n");
        }
        line
    });
    Ok(lines.collect())
}

/// Shows an account's own options, or gives it new ones; what there is to print.
///
/// # Errors
/// The service does not run, there is no such account, or the options are none.
pub async fn options(folder: &Folder, wanted: &cli::Options) -> Result<String, Failure> {
    let mut stream = call(folder).await?;
    let new = (wanted.clear || !wanted.options.is_empty()).then(|| wanted.options.clone());
    let answer = ask(&mut stream, &Request::Options(wanted.name.clone(), new)).await?;
    let words = answer["options"].as_array().into_iter().flatten();
    let words: Vec<_> = words.filter_map(Value::as_str).collect();
    Ok(if words.is_empty() {
        String::new()
    } else {
        format!("{}\n", words.join(" "))
    })
}

/// Takes over what a stock client service has stored; a line for each thing, or each that was left out.
///
/// # Errors
/// The file cannot be read, or the service does not run.
pub async fn import(folder: &Folder, path: &Path) -> Result<String, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::Usage(format!("{}: {e}", path.display()));
    let file = zeroize::Zeroizing::new(std::fs::read(path).map_err(|e| wrong(&e))?);
    let config = match StockConfig::parse(&file) {
        Ok(config) => config,
        // A file with one account, as AccountExport writes it.
        Err(error) => match Account::from_file(&file) {
            Ok(account) => StockConfig {
                accounts: vec![account],
                ..StockConfig::default()
            },
            Err(_) => return Err(wrong(&error)),
        },
    };
    let Some(socket) = folder.socket_of(SERVICE) else {
        call(folder).await?;
        return Ok(String::new());
    };
    let mut service = ServiceClient::local(&socket)
        .await
        .map_err(|e| Failure::Local(e.to_string()))?;
    let mut importer = Importer {
        service: &mut service,
        said: String::new(),
    };
    importer
        .take(config)
        .await
        .map_err(|e| Failure::Refused(e.to_string()))?;
    Ok(importer.said)
}

struct Importer<'a> {
    service: &'a mut ServiceClient,
    said: String,
}

impl Importer<'_> {
    async fn take(&mut self, config: StockConfig) -> Result<(), ServiceError> {
        for note in &config.notes {
            self.say(note);
        }
        self.adapters(&config).await?;
        for certificate in config.authorities {
            let done = self.service.call::<AddCa>(&NewAuthority { certificate }).await;
            self.outcome("a trusted authority", done.map(drop))?;
        }
        for account in config.accounts {
            let what = format!("account {}", account.account_name);
            let done = self.service.call::<CreateAccount>(&account).await;
            self.outcome(&what, done.map(drop))?;
            if account.server_cert.is_none() && !account.check_server_cert {
                self.say(&format!(
                    "  it did not check its server; here a server that no authority vouches for is accepted by \
                     `vpnclient up {:?} --pin`",
                    account.account_name
                ));
            }
        }
        if let Some(settings) = config.service {
            let done = self.service.call::<SetClientConfig>(&settings).await;
            self.outcome("keep-alive and remote management", done.map(drop))?;
        }
        if let Some(proxy) = config.proxy.filter(|proxy| proxy.proxy_type != ProxyType::Direct) {
            self.say(&format!(
                "left out: the proxy {}:{} for all accounts; each has its own here: AccountProxyHttp, AccountProxySocks5",
                proxy.host, proxy.port
            ));
        }
        if let Some(manager) = config.manager {
            let done = self.service.call::<SetCmSetting>(&manager).await;
            self.outcome("the manager's settings", done.map(drop))?;
        }
        if config.password.is_some() {
            self.say("left out: the service's password, of which the file has a hash; PasswordSet sets it");
        }
        Ok(())
    }

    async fn adapters(&mut self, config: &StockConfig) -> Result<(), ServiceError> {
        let there = self.service.call::<EnumVLan>(&Nothing {}).await?;
        for adapter in &config.adapters {
            let what = format!("adapter {}", adapter.device_name);
            if there
                .adapters
                .iter()
                .any(|row| row.device_name.eq_ignore_ascii_case(&adapter.device_name))
            {
                self.say(&format!("left out: {what}: it is there already"));
                continue;
            }
            let name = AdapterName {
                device_name: adapter.device_name.clone(),
            };
            let address = AdapterAddress {
                device_name: adapter.device_name.clone(),
                mac_address: adapter.mac_address.clone(),
            };
            let mut done = self.service.call::<CreateVLan>(&name).await;
            if done.is_ok() {
                done = self.service.call::<SetVLan>(&address).await;
            }
            if done.is_ok() && !adapter.enabled {
                done = self.service.call::<DisableVLan>(&name).await;
            }
            self.outcome(&what, done.map(drop))?;
        }
        Ok(())
    }

    /// A refusal leaves one thing out; a service that is gone ends the import.
    fn outcome(&mut self, what: &str, done: Result<(), ServiceError>) -> Result<(), ServiceError> {
        match done {
            Ok(()) => self.say(what),
            Err(ServiceError::Refused(code)) => {
                let why = match code {
                    ErrorCode::AccountExists => "one of this name is there already".to_owned(),
                    other => other.to_string(),
                };
                self.say(&format!("left out: {what}: {why}"));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn say(&mut self, line: &str) {
        self.said += line;
        self.said.push('\n');
    }
}
