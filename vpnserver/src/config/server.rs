//! `ServerConfiguration`: the server as a whole.

use protocol::config::Folder;
use protocol::password::PasswordHash;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::place::Place;
use super::{Exporter, Import, ImportError, nobodys_hash};
use crate::login::AdminPassword;
use crate::secret::Identity;
use crate::store::{KeepAlive, KeepProtocol, Server, ServerCertificate, StoreError, Syslog};

const FOLDER: &str = "ServerConfiguration";
const SYSLOG: &str = "SyslogSettings";
/// Our own key: the hash beside it is one that nobody knows the password of.
const NO_PASSWORD: &str = "HubwardNoPassword";
/// The stock server's word for the built-in order of ciphers.
const USUAL_CIPHERS: &str = "~DEFAULT~";

impl Import<'_> {
    pub(super) fn server(&mut self, root: &Place<'_>) -> Result<(), ImportError> {
        let Some(place) = root.folder(FOLDER) else {
            self.report.leave(
                "the administrator's password, the certificate and keep-alive stay as they are",
                "the file has no ServerConfiguration",
            );
            return Ok(());
        };
        let mut wanted = self.store.server()?;
        self.admin_password(&place, &mut wanted)?;
        self.certificate(&place, &mut wanted)?;
        wanted.cipher = place
            .some_text("CipherName")?
            .filter(|name| name != USUAL_CIPHERS);
        wanted.keep_alive = keep_alive(&place)?;
        wanted.syslog = match place.folder(SYSLOG) {
            Some(place) => syslog(&place)?,
            None => Syslog::default(),
        };
        let outcome = self.store.update_server(&|server| {
            *server = wanted.clone();
            Ok(())
        });
        place.keep(outcome)?;
        Ok(())
    }

    fn admin_password(&mut self, place: &Place<'_>, server: &mut Server) -> Result<(), ImportError> {
        let hash = place.hash::<20>("HashedPassword")?;
        let hash = hash.filter(|_| !matches!(place.flag(NO_PASSWORD), Ok(true)));
        server.admin_password = match hash {
            Some(hash) => AdminPassword::from_hash(PasswordHash::new(*hash)).seal(self.vault)?,
            None => None,
        };
        if server.admin_password.is_some() {
            self.taken("the server administrator's password");
        } else {
            self.report.notes.push(
                "the file has no administrator password: only `vpncmd localhost` on this machine administers the server"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn certificate(&mut self, place: &Place<'_>, server: &mut Server) -> Result<(), ImportError> {
        let (Some(der), Some(key)) = (place.bytes("ServerCert")?, place.bytes("ServerKey")?) else {
            return Ok(());
        };
        x509_parser::parse_x509_certificate(der)
            .map_err(|_| place.wrong("ServerCert", "is not a certificate (X.509, DER)"))?;
        let parsed = PrivateKeyDer::try_from(key)
            .map_err(|_| place.wrong("ServerKey", "is not a private key (DER)"))?;
        let chain = vec![CertificateDer::from(der.to_vec())];
        if let Err(error) = transport::tls::server_config(chain, parsed.clone_key()) {
            self.report.leave("the server's certificate", error.to_string());
            return Ok(());
        }
        server.certificate = Some(ServerCertificate {
            chain: vec![der.to_vec()],
            key: self.vault.seal(&Identity::ServerKey, key)?,
        });
        self.taken("the server's certificate and key");
        Ok(())
    }
}

fn keep_alive(place: &Place<'_>) -> Result<KeepAlive, ImportError> {
    let usual = KeepAlive::default();
    let protocol = match place.uint("KeepConnectProtocol")? {
        None => usual.protocol,
        Some(code) => KeepProtocol::from_code(code)
            .ok_or_else(|| place.wrong("KeepConnectProtocol", "must be 0 for TCP or 1 for UDP"))?,
    };
    let interval = place.uint_or("KeepConnectInterval", usual.interval)?;
    Ok(KeepAlive {
        enabled: place.flag("UseKeepConnect")?,
        host: place.text("KeepConnectHost")?,
        port: place.port("KeepConnectPort")?,
        protocol,
        interval: interval.clamp(*KeepAlive::INTERVAL.start(), *KeepAlive::INTERVAL.end()),
    })
}

fn syslog(place: &Place<'_>) -> Result<Syslog, ImportError> {
    Ok(Syslog {
        level: place.uint_or("SaveType", 0)?,
        host: place.text("HostName")?,
        port: place.port("Port")?,
    })
}

impl Exporter<'_> {
    pub(super) fn server(&mut self, root: &mut Folder) -> Result<(), StoreError> {
        let server = self.store.server()?;
        root.set(
            "ConfigRevision",
            u32::try_from(self.store.revision()?).unwrap_or(u32::MAX),
        );
        root.folder_mut("DDnsClient").set("Disabled", true);
        let folder = root.folder_mut(FOLDER);
        fixed(folder);
        match AdminPassword::of(self.vault, &server)? {
            Some(password) => folder.set("HashedPassword", password.hash().as_bytes().as_slice()),
            None => {
                folder.set("HashedPassword", nobodys_hash().as_slice());
                folder.set(NO_PASSWORD, true);
                self.notes.push(
                    "The server has no administrator password. A stock server would let everybody in then, so the file has \
                     one that nobody knows: on a stock server, set HashedPassword before starting it."
                        .to_owned(),
                );
            }
        }
        if let Some(certificate) = &server.certificate
            && let Some(own) = certificate.chain.first()
        {
            folder.set("ServerCert", own.as_slice());
            let key = self.vault.open_sealed(&Identity::ServerKey, &certificate.key)?;
            folder.set("ServerKey", key.as_slice());
        }
        folder.set("CipherName", server.cipher.as_deref().unwrap_or(USUAL_CIPHERS));
        let keep = &server.keep_alive;
        folder.set("UseKeepConnect", keep.enabled);
        folder.set("KeepConnectHost", keep.host.as_str());
        folder.set("KeepConnectPort", u32::from(keep.port));
        folder.set("KeepConnectProtocol", keep.protocol.code());
        folder.set("KeepConnectInterval", keep.interval);
        let syslog = folder.folder_mut(SYSLOG);
        syslog.set("SaveType", server.syslog.level);
        syslog.set("HostName", server.syslog.host.as_str());
        syslog.set("Port", u32::from(server.syslog.port));
        Ok(())
    }
}

/// What this server has no setting for. Without these keys the stock server would begin things of its own, or take a zero
/// for a number.
fn fixed(folder: &mut Folder) {
    folder.set("ServerType", 0_u32);
    folder.set("CurrentBuild", protocol::BUILD);
    folder.set("AutoSaveConfigSpan", 300_u32);
    folder.set("BackupConfigOnlyWhenModified", true);
    folder.set("AutoDeleteCheckDiskFreeSpaceMin", 104_857_600_u64);
    folder.set("AutoDeleteCheckIntervalSecs", 300_u32);
    folder.set("LoggerMaxLogSize", 1_073_741_823_u64);
    folder.set("ServerLogSwitchType", 4_u32);
    folder.set("ListenIP", "0.0.0.0");
    folder.set("MaxConnectionsPerIP", 256_u32);
    folder.set("MaxUnestablishedConnections", 1000_u32);
    folder.set("MaxConcurrentDnsClientThreads", 512_u32);
    folder.set("DhParamBits", 2048_u32);
    folder.set("UsernameHubSeparator", "@");
    folder.set("Tls_Disable1_0", true);
    folder.set("Tls_Disable1_1", true);
    folder.set("DisableNatTraversal", true);
    let protocols = folder.folder_mut("Proto");
    protocols.folder_mut("OpenVPN").set("Enabled", false);
    protocols.folder_mut("SSTP").set("Enabled", false);
}
