//! A person at a terminal: types answers to what a program asks.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::pty::openpty;

use crate::process::IN_TIME;

/// `^C`, as the keyboard sends it.
pub const CTRL_C: &str = "\x03";

/// A program that talks to a terminal of its own.
#[derive(Debug)]
pub struct Typist {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    /// Up to where what was seen has been answered.
    answered: usize,
}

impl Typist {
    /// Starts `command` at a new terminal.
    pub fn start(command: &Command) -> Result<Self> {
        let pty = openpty(None, None)?;
        // `setsid --ctty` makes the terminal that of the program, so that ^C reaches it.
        let mut at_terminal = Command::new("setsid");
        at_terminal
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => at_terminal.env(name, value),
                None => at_terminal.env_remove(name),
            };
        }
        let end = |slave: &OwnedFd| slave.try_clone();
        at_terminal
            .stdin(end(&pty.slave)?)
            .stdout(end(&pty.slave)?)
            .stderr(pty.slave);
        let child = at_terminal.spawn().context("setsid (package util-linux)")?;
        // The command holds the slave's other copies; the terminal ends when the last is closed.
        drop(at_terminal);
        let keyboard = File::from(pty.master);
        let mut glass = keyboard.try_clone()?;
        let (sender, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            // An error is how a terminal says that nobody holds its other end.
            while let Ok(length @ 1..) = glass.read(&mut part) {
                if sender.send(part[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            keyboard,
            screen,
            seen: String::new(),
            answered: 0,
        })
    }

    /// Waits for `question` to be asked and types `keys`.
    pub fn answer(&mut self, question: &str, keys: &str) -> Result<()> {
        self.wait_for(question)?;
        self.keyboard.write_all(keys.as_bytes())?;
        Ok(())
    }

    /// Waits until `text` is on the screen, behind what was answered.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        let deadline = Instant::now() + IN_TIME;
        loop {
            if let Some(at) = self.seen[self.answered..].find(text) {
                self.answered += at + text.len();
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(part) => self.seen += &String::from_utf8_lossy(&part),
                Err(_) => bail!("waited for {text:?}, and saw:\n{}", self.seen),
            }
        }
    }

    /// Waits for the end; gives the exit code (128 and the signal's number after a signal) and all that was on the screen.
    pub fn end(mut self) -> Result<(i32, String)> {
        while let Ok(part) = self.screen.recv_timeout(IN_TIME) {
            self.seen += &String::from_utf8_lossy(&part);
        }
        let status = self.child.wait()?;
        use std::os::unix::process::ExitStatusExt;
        let code = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Ok((code, self.seen.replace('\r', "")))
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
