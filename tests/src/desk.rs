//! A desk with our client service on it, and what is done there.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::client_lines::Tool;
use crate::host::Host;
use crate::lab::Lab;
use crate::ours::{HUB, PASSWORD, Server, USER, program};
use crate::process::{self, Answer, IN_TIME, eventually};

/// A host with our client service.
#[derive(Debug)]
pub struct Desk<'a> {
    /// The host.
    pub host: &'a Host,
    /// Where tools work; the service's own folder is `config` in it.
    pub folder: PathBuf,
    service: Option<Server>,
}

impl<'a> Desk<'a> {
    /// Starts a service in a folder of this name.
    pub fn new(lab: &Lab, host: &'a Host, name: &str) -> Result<Self> {
        let folder = lab.folder().join(name);
        std::fs::create_dir_all(&folder)?;
        let mut desk = Self {
            host,
            folder,
            service: None,
        };
        desk.start()?;
        Ok(desk)
    }

    /// Starts it again.
    pub fn start(&mut self) -> Result<()> {
        self.start_with(&[])
    }

    /// The same, with more options.
    pub fn start_with(&mut self, options: &[&str]) -> Result<()> {
        let mut command = self.host.command(program("vpnclient")?);
        command
            .args(["run", "--config-dir"])
            .arg(self.folder.join("config"))
            .args(options);
        self.service = Some(Server::start_command(&mut command)?);
        Ok(())
    }

    /// The service that runs.
    pub fn service(&self) -> Result<&Server> {
        self.service.as_ref().context("the service runs")
    }

    /// Asks it to end, and checks that it ends well.
    pub fn stop(&mut self) -> Result<()> {
        self.service.take().context("the service runs")?.stop()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(service) = self.service.take() {
            service.kill();
        }
    }

    /// What a tool says to one line; it must not be refused.
    pub fn say(&self, tool: Tool<'_>, line: &str) -> Result<String> {
        let answer = tool.say(self.host, &self.folder, &[], line)?;
        answer.success().with_context(|| line.to_owned())
    }

    /// `vpnclient` with these words, beside the service.
    pub fn vpnclient(&self, words: &[&str]) -> Result<Answer> {
        process::answer(self.host.command(program("vpnclient")?).args(words))
    }

    /// The status of an account, once it is as `wanted` says.
    pub fn status(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = eventually(IN_TIME, &format!("the status of {name}"), || {
            let answer = self.vpnclient(&["status", "--json"])?;
            let status: Value = serde_json::from_str(&answer.stdout)?;
            let clients = status["clients"].as_array().cloned().unwrap_or_default();
            let found = clients.into_iter().find(|client| client["name"] == name);
            Ok(found.filter(|client| wanted(client)))
        });
        found.with_context(|| self.service.as_ref().map(Server::log).unwrap_or_default())
    }

    /// Makes an account with an adapter of the same name.
    pub fn account(&self, name: &str, server: &str, kind: &str) -> Result<()> {
        for line in [
            format!("NicCreate {name}"),
            format!("AccountCreate {name} /SERVER:{server}:443 /HUB:{HUB} /USERNAME:{USER} /NICNAME:{name}"),
            format!("AccountPasswordSet {name} /PASSWORD:{PASSWORD} /TYPE:{kind}"),
        ] {
            self.say(Tool::Ours, &line)?;
        }
        Ok(())
    }

    /// Connects an account whose server is not known: refused with the certificate's hash, and accepted by that.
    pub fn accept(&self, name: &str) -> Result<()> {
        let refused = self.vpnclient(&["up", name])?;
        ensure!(
            refused.code == 3 && refused.stderr.contains("not trusted"),
            "{refused:?}"
        );
        let at = refused.stderr.find("sha256:").context("no hash is named")?;
        let pin = &refused.stderr[at..][..7 + 64];
        let up = self.vpnclient(&["up", name, "--pin", pin])?;
        ensure!(up.code == 0, "{up:?}\n{}", self.service()?.log());
        Ok(())
    }
}
