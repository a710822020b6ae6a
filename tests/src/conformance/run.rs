//! Driving the scenario: one tool against one server.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::normal::last_value;
use super::scenario::{Join, Line, Login, Mode, Step};
use crate::host::Host;
use crate::lab::Lab;
use crate::ours;
use crate::process::{self, Answer, IN_TIME, eventually};
use crate::stock::Stock;

/// Where the servers are asked: all of them listen there, each on its own host.
const SERVER: &str = "127.0.0.1:443";

/// No command of the scenario takes as long; a tool that waits for somebody is ended.
const PATIENCE: &str = "90";

/// A tool of administration.
#[derive(Debug, Clone, Copy)]
pub enum Tool<'a> {
    /// The stock `vpncmd`.
    Stock(&'a Stock),
    /// Ours.
    Ours,
}

/// How a line went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code, or the one that the next prompt names.
    pub exit: i32,
    /// What was printed after the line.
    pub output: String,
}

/// The hosts of one run.
#[derive(Debug)]
pub struct Place {
    /// Where server and tool run; the client reaches it at `OUTSIDE`.
    pub server: Host,
    /// Where the client runs.
    pub client: Host,
    /// Where the tool reads and writes files.
    pub folder: PathBuf,
}

/// The server's address at the client's cable.
const OUTSIDE: &str = "203.0.113.1";

impl Place {
    /// Two hosts and a cable, and on the server's a network adapter that bridges can use. IPv6 is off where the client
    /// is, since a kernel says things there whenever it likes.
    pub fn new(lab: &Lab, name: &str) -> Result<Self> {
        // The same names everywhere, since they are told.
        let (server, client) = (lab.host("server")?, lab.host("client")?);
        client.sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")?;
        lab.cable(
            (&server, "wan", "203.0.113.1/24"),
            (&client, "eth0", "203.0.113.10/24"),
        )?;
        server.sh("ip link add pbv0 type veth peer name pbv1; ip link set pbv0 up; ip link set pbv1 up")?;
        let folder = lab.folder().join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            server,
            client,
            folder,
        })
    }
}

/// One tool and one server.
#[derive(Debug)]
pub struct Driver<'a> {
    tool: Tool<'a>,
    place: &'a Place,
    client: Option<ours::Client>,
    outcomes: BTreeMap<u32, Outcome>,
}

impl<'a> Driver<'a> {
    /// A driver at a place where the server runs.
    pub fn new(tool: Tool<'a>, place: &'a Place) -> Self {
        Self {
            tool,
            place,
            client: None,
            outcomes: BTreeMap::new(),
        }
    }

    /// Does the steps in their order, without the lines that `skipped` names, and returns how each line went.
    pub fn drive(
        mut self,
        steps: &[Step],
        skipped: impl Fn(&Line) -> bool,
    ) -> Result<BTreeMap<u32, Outcome>> {
        let mut ahead: Vec<&Line> = Vec::new();
        for step in steps {
            match step {
                Step::Say(line) if skipped(line) => {}
                Step::Say(line) => {
                    if ahead.first().is_some_and(|first| !goes_with(line, first, &ahead)) {
                        self.say(&std::mem::take(&mut ahead))?;
                    }
                    ahead.push(line);
                }
                Step::Join(join) => {
                    self.say(&std::mem::take(&mut ahead))?;
                    self.join(join)
                        .with_context(|| format!("{} joins {}", join.user, join.hub))?;
                }
                Step::Leave => {
                    self.say(&std::mem::take(&mut ahead))?;
                    if let Some(client) = self.client.take() {
                        client.kill();
                    }
                }
            }
        }
        self.say(&ahead)?;
        Ok(self.outcomes)
    }

    fn say(&mut self, lines: &[&Line]) -> Result<()> {
        let Some(first) = lines.first() else {
            return Ok(());
        };
        let done = match first.mode {
            Mode::Together => self.together(lines),
            Mode::Alone => self.alone(first, &[]),
            Mode::Csv => self.alone(first, &["/CSV"]),
        };
        done.with_context(|| format!("line {} {}", first.number, first.text()))
    }

    /// Joins, takes or gets an address, and makes itself and somebody else known.
    fn join(&mut self, join: &Join) -> Result<()> {
        const DEVICE: &str = "lab";
        let host = &self.place.client;
        let mut options = vec!["--insecure", "--no-routes", "--no-dns", "--tap", DEVICE];
        options.extend(["--mac", "02:00:5e:00:53:01"]);
        options.extend(join.address.as_ref().map(|_| "--no-dhcp"));
        let client =
            ours::Client::connect_as(host, OUTSIDE, &join.hub, &join.user, &join.password, &options)?;
        client.daemon().line_with("connected: ", IN_TIME)?;
        if let Some(address) = &join.address {
            eventually(IN_TIME, "the client's device", || {
                Ok(host
                    .sh(&format!(
                        "ip link set {DEVICE} up && ip address replace {address} dev {DEVICE}"
                    ))
                    .ok())
            })?;
        } else {
            ours::address_of(host, DEVICE, IN_TIME).with_context(|| client.daemon().log())?;
        }
        // Whoever is asked for need not be there: the question itself makes us known.
        host.sh(&format!("ping -c 1 -W 1 {} > /dev/null || true", join.ping))?;
        self.client = Some(client);
        Ok(())
    }

    fn start(&self, login: &Login, switches: &[&str]) -> Result<Command> {
        let mut command = match self.tool {
            Tool::Stock(stock) => stock.command_in(&self.place.server, &self.place.folder, PATIENCE),
            Tool::Ours => {
                let mut command = self.place.server.command("timeout");
                command.arg(PATIENCE).arg("env").arg("-C").arg(&self.place.folder);
                command.arg(ours::program("vpncmd")?);
                command
            }
        };
        command.args([SERVER, "/SERVER"]);
        if let Some(hub) = &login.of_hub {
            command.arg(format!("/HUB:{hub}"));
        }
        if !login.password.is_empty() {
            command.arg(format!("/PASSWORD:{}", login.password));
        }
        command.args(switches);
        Ok(command)
    }

    fn alone(&mut self, line: &Line, switches: &[&str]) -> Result<()> {
        let selected = line.hub.as_ref().map(|hub| format!("/ADMINHUB:{hub}"));
        let switches: Vec<&str> = selected
            .as_deref()
            .into_iter()
            .chain(switches.iter().copied())
            .collect();
        let mut command = self.start(&line.login, &switches)?;
        command.arg("/CMD").args(self.words(line));
        let Answer { code, stdout, .. } = process::answer(&mut command)?;
        let echo = stdout.find("VPN Server").filter(|_| line.mode == Mode::Alone);
        let output = match echo.and_then(|_| stdout.find("\nVPN Server")) {
            Some(at) => stdout[at + 1..].to_owned(),
            None => stdout,
        };
        self.outcomes.insert(line.number, Outcome { exit: code, output });
        Ok(())
    }

    /// The lines on the standard input, with the selections of hubs between them; the prompts say how each ended.
    fn together(&mut self, lines: &[&Line]) -> Result<()> {
        let (mut input, mut answers) = (String::new(), Vec::new());
        let mut selected = None;
        for line in lines {
            if line.login.of_hub.is_none() && selected != Some(line.hub.clone()) {
                input += &format!("Hub {}\n", line.hub.as_deref().unwrap_or_default());
                answers.push(None);
            }
            selected = (line.words[0] != "Hub").then(|| line.hub.clone());
            let words = self.words(line);
            let words = words.iter().map(|word| quoted(word));
            input += &(words.collect::<Vec<_>>().join(" ") + "\n");
            answers.push(Some(line.number));
        }
        let typed = lab_file(&self.place.folder, "typed");
        std::fs::write(&typed, input)?;
        let mut command = self.start(&lines[0].login, &["/PROGRAMMING"])?;
        command.stdin(File::open(&typed)?);
        let Answer { code, stdout, .. } = process::answer_fed(&mut command)?;
        let mut said = chunks(&stdout).into_iter();
        for number in answers {
            let outcome = said.next().unwrap_or_else(|| Outcome {
                exit: code,
                output: stdout.clone(),
            });
            if let Some(number) = number {
                self.outcomes.insert(number, outcome);
            }
        }
        Ok(())
    }

    fn words(&self, line: &Line) -> Vec<String> {
        line.words_with(|number, item| last_value(&self.outcomes.get(&number)?.output, item))
    }
}

/// Whether `line` can be given by the same start of the tool as `ahead`, of which `first` is the first: what it refers to must have been said before.
fn goes_with(line: &Line, first: &Line, ahead: &[&Line]) -> bool {
    let answered = |number| !ahead.iter().any(|line| line.number == number);
    let together = [line, first].iter().all(|line| line.mode == Mode::Together);
    together && line.login == first.login && line.refers_to().all(answered)
}

/// Beside the folder, since the folder's files are compared.
fn lab_file(folder: &Path, ending: &str) -> PathBuf {
    folder.with_extension(ending)
}

/// As the stock language has it: in double quotes where there are blanks.
fn quoted(word: &str) -> String {
    if word.contains([' ', '\t']) {
        format!("\"{word}\"")
    } else {
        word.to_owned()
    }
}

/// What is between the prompts of `/PROGRAMMING`, without the line that was typed.
fn chunks(output: &str) -> Vec<Outcome> {
    let (mut chunks, mut current) = (Vec::new(), None::<Vec<&str>>);
    for line in output.lines() {
        let prompt = line
            .strip_prefix("[PROMPT:")
            .and_then(|rest| rest.split_once(':'));
        let Some((code, _)) = prompt else {
            if let Some(current) = &mut current {
                current.push(line);
            }
            continue;
        };
        if let Some(said) = current.replace(Vec::new()) {
            let output = said.get(1..).unwrap_or_default().join("\n");
            let exit = code.parse().unwrap_or(-1);
            chunks.push(Outcome { exit, output });
        }
    }
    chunks
}
