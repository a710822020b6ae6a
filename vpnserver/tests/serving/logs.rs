//! The log files: what is in them, who may read them, and what happens when they cannot be written.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use protocol::error::ErrorCode;
use protocol::rpc::log::{HubLog, LogPiece, LogSwitch, PacketSave, Syslog, SyslogSave};
use protocol::rpc::method::{EnumLogFile, GetHubLog, ReadLogFile, SetHubLog, SetSysLog};
use protocol::rpc::{HubRequest, Nothing};
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::time::timeout;
use transport::admin::{AdminClient, AdminError};
use vpnserver::events::{Event, Events};
use vpnserver::logfile::{Limits, LogFiles};

use crate::frame::{BROADCAST, frame, introduce, station, udp};
use crate::peer::{enter, login};
use crate::site::{PATIENCE, Site, add_hub, lab};

/// The paths that an administrator is shown.
async fn paths(admin: &mut AdminClient) -> Vec<String> {
    let list = admin.call::<EnumLogFile>(&Nothing {}).await.unwrap();
    list.files.into_iter().map(|file| file.file_path).collect()
}

fn piece(path: &str, offset: usize) -> LogPiece {
    LogPiece {
        file_path: path.to_owned(),
        offset: u32::try_from(offset).unwrap(),
        ..LogPiece::default()
    }
}

/// A file as tools fetch it: piece by piece, until none comes.
async fn read(admin: &mut AdminClient, path: &str) -> String {
    let mut content = Vec::new();
    while let Some(more) = admin
        .call::<ReadLogFile>(&piece(path, content.len()))
        .await
        .unwrap()
        .buffer
    {
        assert!(!more.is_empty());
        content.extend(more);
    }
    String::from_utf8(content).unwrap()
}

/// The one file of a log, read.
async fn log(admin: &mut AdminClient, folder: &str) -> String {
    let paths = paths(admin).await;
    let of_log: Vec<_> = paths.iter().filter(|path| path.starts_with(folder)).collect();
    assert_eq!(of_log.len(), 1, "{paths:?}");
    read(admin, of_log[0]).await
}

async fn change_logs(admin: &mut AdminClient, change: impl FnOnce(&mut HubLog)) {
    let hub = HubRequest {
        hub_name: "lab".to_owned(),
    };
    let mut logs = admin.call::<GetHubLog>(&hub).await.unwrap();
    change(&mut logs);
    admin.call::<SetHubLog>(&logs).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_a_line_of_the_servers_and_of_the_hubs_log() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let _alice = enter(&site, login("alice")).await.unwrap();
    assert!(enter(&site, login("nobody")).await.is_err());
    let of_hub = log(&mut admin, "security_log/lab/sec_").await;
    let line = of_hub.lines().find(|line| line.contains("SID-ALICE-1")).unwrap();
    assert!(line.contains("127.0.0.1"), "{line}");
    let (time, text) = line.split_at(24);
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00 00:00:00.000 ");
    assert!(of_hub.contains("\"nobody\" was refused with code 9"), "{of_hub}");
    assert!(of_hub.ends_with("\r\n"));
    let of_server = log(&mut admin, "server_log/vpn_").await;
    assert!(
        of_server.contains(&format!("{time}[HUB \"lab\"] {text}\r\n")),
        "{of_server}"
    );
    let mode = |path: &str| {
        fs::metadata(folder.path().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("server_log"), mode("security_log/lab")), (0o700, 0o700));
    let path = paths(&mut admin).await.pop().unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_without_a_security_log_has_none() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    change_logs(&mut admin, |logs| logs.save_security_log = false).await;
    let before = log(&mut admin, "security_log/lab").await;
    let _alice = enter(&site, login("alice")).await.unwrap();
    assert_eq!(log(&mut admin, "security_log/lab").await, before);
    change_logs(&mut admin, |logs| {
        logs.save_security_log = true;
        logs.security_log_switch = LogSwitch::EveryMonth;
    })
    .await;
    let paths = paths(&mut admin).await;
    let monthly = paths
        .iter()
        .find(|path| path.len() == "security_log/lab/sec_202611.log".len());
    assert!(monthly.is_some(), "{paths:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_the_classes_that_are_wanted_are_lines_of_the_packet_log() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    let mut alice = enter(&site, login("alice")).await.unwrap();
    let mut bob = enter(&site, login("bob")).await.unwrap();
    introduce(&mut alice, &mut bob).await;
    let (one, other) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let datagram = |payload: &[u8]| udp((station(1), one, 5000), (station(2), other, 7), payload);
    alice.send([datagram(b"unlogged")]);
    bob.receive().await;
    change_logs(&mut admin, |logs| logs.packet_log_config[3] = PacketSave::Whole).await;
    let logged = datagram(b"logged");
    alice.send([logged.clone()]);
    bob.receive().await;
    let lines = log(&mut admin, "packet_log/lab/pkt_").await;
    let data: String = logged.iter().map(|byte| format!("{byte:02X}")).collect();
    let (_, line) = lines.trim_end().split_at("2026-11-23,18:27:59.548,".len());
    assert_eq!(
        line,
        format!(
            "SID-ALICE-1,SID-BOB-2,020000000001,020000000002,0x0800,48,UDPv4,-,10.0.0.1,5000,10.0.0.2,echo(7),-,-,-,{data},\
             127.0.0.1,127.0.0.1"
        )
    );
    change_logs(&mut admin, |logs| logs.save_packet_log = false).await;
    alice.send([datagram(b"unlogged")]);
    bob.receive().await;
    assert_eq!(log(&mut admin, "packet_log/lab/pkt_").await, lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_of_a_hub_reads_that_hubs_logs_alone() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    add_hub(&mut admin, "office").await;
    let all = paths(&mut admin).await;
    assert_eq!(all.len(), 3, "{all:?}");
    let mut of_hub = site.local_admin(Some("lab")).await.unwrap();
    let own = paths(&mut of_hub).await;
    assert!(
        own.len() == 1 && own[0].starts_with("security_log/lab/"),
        "{own:?}"
    );
    assert!(!read(&mut of_hub, &own[0]).await.is_empty());
    fs::write(folder.path().join("server_log/notes.txt"), "not a log").unwrap();
    for path in all
        .iter()
        .filter(|path| !own.contains(path))
        .map(String::as_str)
        .chain([
            "server_log/notes.txt",
            "hubward.db",
            "security_log/lab/../../secret.key",
            "/etc/passwd",
            "",
        ])
    {
        let answer = of_hub.call::<ReadLogFile>(&piece(path, 0)).await;
        assert!(
            matches!(answer, Err(AdminError::Refused(ErrorCode::ObjectNotFound))),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_file_comes_in_pieces() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let long = "line of the past\n".repeat(100_000);
    fs::write(folder.path().join("server_log/vpn_20200101.log"), &long).unwrap();
    assert_eq!(read(&mut admin, "server_log/vpn_20200101.log").await, long);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_cannot_be_written_are_said_once_and_hold_up_nobody() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("server_log"), "in the way").unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    let mut alice = enter(&site, login("alice")).await.unwrap();
    let mut bob = enter(&site, login("bob")).await.unwrap();
    introduce(&mut alice, &mut bob).await;
    let is_said = |event: &Event| matches!(event, Event::PartFailed { part, .. } if part == "log files");
    site.event(|event| is_said(event).then_some(())).await;
    paths(&mut admin).await;
    assert_eq!(site.count(is_said), 1);
    let hello = frame(BROADCAST, station(1), b"still here");
    alice.send([hello.clone()]);
    assert_eq!(bob.receive().await, hello);
    fs::remove_file(folder.path().join("server_log")).unwrap();
    // The writer rests for five seconds, then tries again with the next line.
    let mended = async {
        while !folder.path().join("server_log").is_dir() {
            let _ = enter(&site, login("nobody")).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, mended).await.unwrap();
    site.event(|event| matches!(event, Event::PartStarted { part, .. } if part == "log files").then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_full_goes_on_in_another() {
    let folder = TempDir::new().unwrap();
    let events = Events::default();
    let limits = Limits {
        file_bytes: 200,
        ..Limits::default()
    };
    let begin = || LogFiles::begin(folder.path(), &events, limits);
    let logs = begin();
    let report = |number: u16| {
        events.report(&Event::ListenerClosed {
            address: (Ipv4Addr::LOCALHOST, number).into(),
        });
    };
    (1001..=1006).for_each(report);
    logs.close().await;
    drop(logs);
    let logs = begin();
    report(1007);
    logs.settle().await;
    let files = logs.list();
    let names: Vec<_> = files
        .iter()
        .map(|file| file.path.rsplit_once(".log").unwrap().0)
        .collect();
    assert!(
        names.len() == 4 && names[1].ends_with("~01") && names[3].ends_with("~03"),
        "{names:?}"
    );
    assert!(files.iter().all(|file| file.size <= 200));
    let written: String = files
        .iter()
        .map(|file| String::from_utf8(logs.read(&file.path, 0).unwrap().unwrap()).unwrap())
        .collect();
    let numbers: Vec<_> = (1001..=1007)
        .filter(|number| written.contains(&format!(":{number}.")))
        .collect();
    assert_eq!(numbers, (1001..=1007).collect::<Vec<_>>());
}

async fn datagram(socket: &UdpSocket) -> String {
    let mut buffer = [0; 2048];
    let length = timeout(PATIENCE, socket.recv(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// Has lines up to this level sent to a new socket.
async fn syslog(admin: &mut AdminClient, save: SyslogSave) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let request = Syslog {
        save,
        hostname: "127.0.0.1".to_owned(),
        port: socket.local_addr().unwrap().port().into(),
    };
    admin.call::<SetSysLog>(&request).await.unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_sent_to_the_syslog_server_as_far_as_asked_for() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let of_server = syslog(&mut admin, SyslogSave::Server).await;
    let line = datagram(&of_server).await;
    assert!(
        line.starts_with('[') && line.contains("/VPN] (") && line.contains(") <SERVER_LOG>: "),
        "{line}"
    );
    let of_hubs = syslog(&mut admin, SyslogSave::ServerAndSecurity).await;
    let _alice = enter(&site, login("alice")).await.unwrap();
    let security = async {
        loop {
            let line = datagram(&of_hubs).await;
            if line.contains("/VPN/lab] (") {
                return line;
            }
        }
    };
    let line = timeout(PATIENCE, security).await.unwrap();
    assert!(
        line.contains("<SECURITY_LOG>: ") && line.contains("SID-ALICE-1"),
        "{line}"
    );
    admin.call::<SetSysLog>(&Syslog::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_go_on_where_they_ended() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let before = log(&mut admin, "server_log/vpn_").await;
    drop(admin);
    site.stop().await;
    let site = Site::start(&folder).await;
    let mut admin = site.admin().await;
    assert!(log(&mut admin, "server_log/vpn_").await.starts_with(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_logs_make_room_when_the_disk_is_short_of_it() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("server_log")).unwrap();
    let old = folder.path().join("server_log/vpn_20200101.log");
    fs::write(&old, "long ago").unwrap();
    let events = Events::default();
    let (deleted, told) = std::sync::mpsc::channel();
    events.read_with(move |event| {
        if let Event::LogsDeleted { files } = event {
            let _ = deleted.send(*files);
        }
    });
    // More than any disk has.
    let limits = Limits {
        free_bytes: u64::MAX,
        ..Limits::default()
    };
    let logs = LogFiles::begin(folder.path(), &events, limits);
    events.report(&Event::ListenerClosed {
        address: (Ipv4Addr::LOCALHOST, 1).into(),
    });
    logs.settle().await;
    assert!(!old.exists());
    assert_eq!(told.try_recv(), Ok(1));
    let left = logs.list();
    assert_eq!(left.len(), 1, "what is written to stays: {left:?}");
}
