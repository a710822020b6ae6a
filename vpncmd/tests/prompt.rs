//! The prompt, as a person in front of a terminal sees it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/socket.rs"]
mod socket;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::openpty;
use socket::Server;

const TAB: &str = "\t";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const UP: &str = "\x1b[A";

/// A tool on a terminal of its own.
struct Person {
    keys: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    child: Child,
}

impl Person {
    fn sits_down(server: &Server, words: &[&str], variables: &[(&str, &str)]) -> Person {
        let pty = openpty(None, None).unwrap();
        let mut command = server.command(words);
        command
            .stdin(pty.slave.try_clone().unwrap())
            .stdout(pty.slave.try_clone().unwrap())
            .stderr(pty.slave)
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied());
        let child = command.spawn().unwrap();
        // The command keeps the other end open until it is dropped.
        drop(command);
        let keys = File::from(pty.master);
        let mut reader = keys.try_clone().unwrap();
        let (sender, screen) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Person {
            keys,
            screen,
            seen: String::new(),
            child,
        }
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen shows something that was not there before, and forgets what was.
    fn sees(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen += &String::from_utf8_lossy(&bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{text:?} does not come; there is {:?}", self.seen)
                }
            }
        }
    }

    /// Waits until the tool ends by itself.
    fn leaves(mut self) -> i32 {
        // What is not read would hold it up.
        while self.screen.recv_timeout(Duration::from_secs(30)).is_ok() {}
        self.child.wait().unwrap().code().unwrap()
    }
}

#[test]
fn commands_parameters_hubs_and_users_are_completed() {
    let server = Server::start();
    let mut person = Person::sits_down(&server, &["/SERVER"], &[]);
    person.sees("VPN Server>");
    person.types(&format!("hub m{TAB}"));
    person.sees("hub mikalab");
    person.types("\r");
    person.sees("VPN Server/mikalab>");
    person.types(&format!("userget t{TAB}"));
    person.sees("userget tsu");
    person.types(TAB);
    let listed = person.sees("tsumura") + &person.sees("tsubaki");
    assert!(!listed.contains("anna"), "{listed:?}");
    person.types("\x15");
    person.types(&format!("userpassw{TAB}"));
    person.sees("UserPasswordSet");
    person.types(&format!(" anna /p{TAB}"));
    person.sees("/PASSWORD:");
    person.types("\x15exit\r");
    assert_eq!(person.leaves(), 0);
}

#[test]
fn what_a_command_takes_is_hinted_unless_colours_are_not_wanted() {
    let server = Server::start();
    let mut person = Person::sits_down(&server, &["/ADMINHUB:mikalab"], &[]);
    person.sees("VPN Server/mikalab>");
    person.types("UserCreate ");
    person.sees("[name] /GROUP: /REALNAME: /NOTE:");
    person.types("\x15exit\r");
    person.leaves();

    let mut person = Person::sits_down(&server, &["/ADMINHUB:mikalab"], &[("NO_COLOR", "1")]);
    person.sees("VPN Server/mikalab>");
    person.types("Foo\r");
    let said = person.sees("Command not found") + &person.sees("VPN Server/mikalab>");
    assert!(!said.contains("\x1b[31m"), "{said:?}");
    person.types("UserCreate \x15exit\r");
    let typed = person.sees("exit");
    assert!(!typed.contains("/REALNAME"), "{typed:?}");
    person.leaves();
}

#[test]
fn errors_are_coloured_on_a_terminal() {
    let server = Server::start();
    let mut person = Person::sits_down(&server, &["/CMD", "Foo"], &[]);
    person.sees("\x1b[31m\"Foo\": Command not found.");
    assert_eq!(person.leaves(), 117);
}

#[test]
fn ctrl_c_gives_up_a_line_or_a_question_and_ctrl_d_the_tool() {
    let server = Server::start();
    let mut person = Person::sits_down(&server, &["/SERVER"], &[]);
    person.sees("VPN Server>");
    person.types(&format!("HubDelete x{CTRL_C}"));
    person.sees("VPN Server>");
    person.types("ListenerCreate\r");
    person.sees("Port number of TCP/IP Listener: ");
    person.types(CTRL_C);
    person.sees("Cancelled.");
    person.sees("VPN Server>");
    person.types("ServerPasswordSet\r");
    person.sees("Password: ");
    person.types(&format!("hunter2{CTRL_C}"));
    let shown = person.sees("Cancelled.");
    assert!(
        shown.contains("*******") && !shown.contains("hunter2"),
        "{shown:?}"
    );
    person.sees("VPN Server>");
    person.types("HubList\r");
    person.sees("mikalab");
    person.sees("VPN Server>");
    person.types(CTRL_D);
    assert_eq!(person.leaves(), 0);
}

#[test]
fn a_line_comes_back_another_time_unless_it_holds_a_password() {
    let server = Server::start();
    let mut person = Person::sits_down(&server, &["/SERVER"], &[]);
    person.sees("VPN Server>");
    person.types("About\r");
    person.sees("VPN Server>");
    person.types("ServerPasswordSet hunter2\r");
    person.sees("completed successfully");
    person.sees("VPN Server>");
    person.types("exit\r");
    assert_eq!(person.leaves(), 0);

    let file = server.folder.path().join(".local/state/hubward/vpncmd_history");
    assert_eq!(fs::read_to_string(&file).unwrap(), "About\nexit\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let mut person = Person::sits_down(&server, &["/SERVER"], &[]);
    person.sees("VPN Server>");
    person.types(&format!("{UP}{UP}"));
    person.sees("About");
    person.types("\r");
    person.sees("About command -");
    person.sees("VPN Server>");
    person.types(CTRL_D);
    person.leaves();
}
