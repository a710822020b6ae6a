//! A server behind a control socket: enough of one for the program as scripts and people start it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

use protocol::error::ErrorCode;
use protocol::pack::{Limits, Pack};
use protocol::rpc::hub::{HubList, HubRow, HubStatus};
use protocol::rpc::listener::{ListenerList, ListenerRow};
use protocol::rpc::user::{UserList, UserRow};
use protocol::rpc::{HubRequest, RpcMessage};
use tempfile::TempDir;

/// A data folder with the control socket of a server that has one hub and listens on one port.
pub(crate) struct Server {
    pub(crate) folder: TempDir,
}

impl Server {
    pub(crate) const HUB: &str = "mikalab";
    pub(crate) const PORT: u32 = 5555;

    pub(crate) fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("control.sock")).unwrap();
        thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
        Server { folder }
    }

    /// Runs the tool with this server's folder as the default one.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vpncmd"));
        command
            .args(words)
            .env("HUBWARD_DATA_DIR", self.folder.path())
            .env("HOME", self.folder.path())
            .env("TZ", "UTC");
        command
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

/// One administrator: a greeting, then calls (admin RPC §2).
fn serve(mut stream: UnixStream) {
    let mut greeted = false;
    while let Some(request) = read(&mut stream) {
        if request.str("function_name") == Some("RebootServer") {
            return;
        }
        let answer = if greeted {
            answer(&request)
        } else {
            Ok(Pack::new())
        };
        greeted = true;
        let answer = answer.unwrap_or_else(|code| {
            let mut pack = Pack::new();
            pack.set_int("error", code.code());
            pack
        });
        let body = answer.encode();
        let length = u32::try_from(body.len()).unwrap();
        if stream
            .write_all(&[&length.to_be_bytes()[..], &body].concat())
            .is_err()
        {
            return;
        }
    }
}

fn read(stream: &mut UnixStream) -> Option<Pack> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    Some(Pack::decode(&body, &Limits::ADMIN).unwrap())
}

fn answer(request: &Pack) -> Result<Pack, ErrorCode> {
    let hub_name = Server::HUB.to_owned();
    match request.str("function_name").unwrap() {
        "EnumListener" => {
            let listener = ListenerRow {
                port: Server::PORT,
                enabled: true,
                error: false,
            };
            Ok(ListenerList {
                listeners: vec![listener],
            }
            .to_pack())
        }
        "EnumHub" => {
            let hub = HubRow {
                hub_name,
                online: true,
                ..HubRow::default()
            };
            Ok(HubList { hubs: vec![hub] }.to_pack())
        }
        "GetHubStatus" if HubRequest::from_pack(request).unwrap().hub_name == hub_name => Ok(HubStatus {
            hub_name,
            ..HubStatus::default()
        }
        .to_pack()),
        "GetHubStatus" => Err(ErrorCode::HubNotFound),
        "EnumUser" => {
            let user = |name: &str| UserRow {
                name: name.to_owned(),
                ..UserRow::default()
            };
            Ok(UserList {
                hub_name,
                users: vec![user("tsumura"), user("tsubaki"), user("anna")],
            }
            .to_pack())
        }
        "SetServerPassword" => Ok(Pack::new()),
        _ => Err(ErrorCode::NotSupported),
    }
}
