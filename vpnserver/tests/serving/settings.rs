//! Settings of the whole server, beside its certificate.

use protocol::error::ErrorCode;
use protocol::rpc::Nothing;
use protocol::rpc::keep::{Keep, KeepProtocol};
use protocol::rpc::log::{Syslog, SyslogSave};
use protocol::rpc::method::{GetKeep, GetSysLog, SetKeep, SetSysLog};
use tempfile::TempDir;
use transport::admin::AdminError;

use crate::site::lab;

fn keep() -> Keep {
    Keep {
        enabled: false,
        host: "keep.example".to_owned(),
        port: 80,
        protocol: KeepProtocol::Udp,
        interval: 50,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_alive_is_off_until_asked_for_and_kept_within_bounds() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let first = admin.call::<GetKeep>(&Nothing {}).await.unwrap();
    assert!(!first.enabled && first.host.is_empty());
    for (asked, kept) in [(1, 5), (60, 60), (100_000, 600)] {
        let interval = asked;
        admin.call::<SetKeep>(&Keep { interval, ..keep() }).await.unwrap();
        let read = admin.call::<GetKeep>(&Nothing {}).await.unwrap();
        assert_eq!(
            read,
            Keep {
                interval: kept,
                ..keep()
            }
        );
    }
    for wrong in [
        Keep {
            enabled: true,
            host: String::new(),
            ..keep()
        },
        Keep {
            enabled: true,
            port: 0,
            ..keep()
        },
        Keep {
            port: 70_000,
            ..keep()
        },
        Keep {
            protocol: KeepProtocol::Other(7),
            ..keep()
        },
    ] {
        let answer = admin.call::<SetKeep>(&wrong).await;
        assert!(
            matches!(answer, Err(AdminError::Refused(ErrorCode::InvalidParameter))),
            "{wrong:?}"
        );
    }
    assert_eq!(admin.call::<GetKeep>(&Nothing {}).await.unwrap().interval, 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_syslog_server_is_kept_and_hidden_from_administrators_of_hubs() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let wanted = Syslog {
        save: SyslogSave::Nothing,
        hostname: "logs.example".to_owned(),
        port: 514,
    };
    admin.call::<SetSysLog>(&wanted).await.unwrap();
    assert_eq!(admin.call::<GetSysLog>(&Nothing {}).await.unwrap(), wanted);
    let mut of_hub = site.local_admin(Some("lab")).await.unwrap();
    assert_eq!(
        of_hub.call::<GetSysLog>(&Nothing {}).await.unwrap(),
        Syslog::default()
    );
    for wrong in [
        Syslog {
            save: SyslogSave::Other(4),
            ..wanted.clone()
        },
        Syslog {
            port: 70_000,
            ..wanted.clone()
        },
        Syslog {
            save: SyslogSave::Server,
            hostname: String::new(),
            ..wanted.clone()
        },
    ] {
        let answer = admin.call::<SetSysLog>(&wrong).await;
        assert!(
            matches!(answer, Err(AdminError::Refused(ErrorCode::InvalidParameter))),
            "{wrong:?}"
        );
    }
    assert_eq!(admin.call::<GetSysLog>(&Nothing {}).await.unwrap(), wanted);
}
