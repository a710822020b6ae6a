//! The command line.

// What is written here is printed as help, and its brackets are no links.
#![allow(rustdoc::broken_intra_doc_links)]

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use protocol::certificate::SigningKey;
use protocol::handshake::{SessionOptions, UdpUse};
use transport::dial::Target;
use transport::tls::{self, Fingerprint, Trust};

use crate::attachment::DeviceSettings;
use crate::attempt::Wish;
use crate::connection::Settings;
use crate::failure::Failure;
use crate::login::{Identity, Proof};
use crate::network::RouteMode;
use crate::password;
use crate::report::{Event, Reporter};
use crate::rootless::{Destination, Forward, ProxyPassword, Reverse, RootlessSettings, parse_listen};

/// Connects this machine to a Layer-2 VPN (Hubward or SoftEther).
#[derive(Debug, Parser)]
#[command(
    name = "vpnclient",
    version,
    after_help = "Exit codes: 0 done, 2 usage, 3 the server (out of reach, not trusted, refused), 4 this machine \
                  (missing privilege, device or program)."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connect to a server and stay in the foreground until interrupted; everything set up is taken back at the end.
    Connect(Box<Connect>),
    /// Standard input and output at a host behind the tunnel of a running `vpnclient connect` without a device; for
    /// instance as `ssh -o ProxyCommand="vpnclient nc %h %p"`.
    Nc(Nc),
}

/// `vpnclient nc`.
#[derive(Debug, Args)]
pub struct Nc {
    /// The host, by a name that the hub's name servers know or by its address.
    pub host: String,
    /// Its port.
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// The client to go through, by its --name, where several run.
    #[arg(long, value_name = "NAME")]
    pub via: Option<String>,
}

impl Nc {
    /// Where to.
    pub fn destination(&self) -> Destination {
        Destination {
            host: self.host.clone(),
            port: self.port,
        }
    }
}

/// `vpnclient connect`.
#[derive(Debug, Args)]
pub struct Connect {
    /// The server: HOST, HOST:PORT or [IPV6]:PORT; port 443 unless named.
    pub server: Target,
    /// The virtual hub.
    #[arg(long)]
    pub hub: String,
    /// The user.
    #[arg(long)]
    pub user: String,
    #[command(flatten)]
    proof: ProofArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    rootless: RootlessArgs,
    #[command(flatten)]
    session: SessionArgs,
    /// End when the connection is lost, instead of connecting again.
    #[arg(long, conflicts_with = "keep_trying")]
    once: bool,
    /// Try again also when the first connection fails (unless the server refuses the user).
    #[arg(long)]
    keep_trying: bool,
    /// Write events as JSON objects to standard output, one per line.
    #[arg(long)]
    pub json: bool,
    /// Log details to standard error (twice for more); RUST_LOG can say it more exactly.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Args)]
#[group(multiple = true)]
struct ProofArgs {
    /// Read the password from this file, or from standard input for `-`; without it a service credential
    /// `vpn-password` is used, or the terminal asks.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["anonymous", "cert"])]
    password_file: Option<PathBuf>,
    /// Log in without proof, as a user who needs none.
    #[arg(long, conflicts_with = "cert")]
    anonymous: bool,
    /// Log in by this RSA certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct TrustArgs {
    /// Trust the certificate authorities of this file (PEM) instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust exactly the server certificate of this SHA-256.
    #[arg(long, value_name = "sha256:HEX")]
    pin: Option<Fingerprint>,
    /// Trust any server, and give it the password if it asks.
    #[arg(long)]
    insecure: bool,
}

#[derive(Debug, Args)]
struct DeviceArgs {
    /// The name of the TAP device.
    #[arg(long, value_name = "NAME", default_value = "hubward0")]
    tap: String,
    /// The hardware address of the TAP device; unless given one that is always the same here.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_mac)]
    mac: Option<[u8; 6]>,
    /// Exchange only finished frames of ordinary length with the TAP device: slower, for kernels whose offload is broken.
    #[arg(long)]
    no_offload: bool,
    /// Ask for no address; something else configures the TAP device.
    #[arg(long)]
    no_dhcp: bool,
    /// Set no routes into the VPN: the same as --routes none.
    #[arg(long, conflicts_with = "routes")]
    no_routes: bool,
    /// Which routes lead into the VPN.
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    routes: RouteMode,
    /// Leave the name servers alone.
    #[arg(long)]
    no_dns: bool,
}

/// Doors into the VPN without a device, and so without privileges.
#[derive(Debug, Args)]
#[command(next_help_heading = "Without privileges (no device; any of these)")]
struct RootlessArgs {
    /// Make no device; programs get through by `vpnclient nc`.
    #[arg(long, conflicts_with_all = ["tap", "no_offload", "no_dhcp", "no_dns", "bridge"])]
    rootless: bool,
    /// A SOCKS5 proxy, with UDP; a PORT alone is open to this machine only.
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = parse_listen)]
    socks5: Vec<SocketAddr>,
    /// An HTTP proxy.
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = parse_listen)]
    http_proxy: Vec<SocketAddr>,
    /// Clients of the proxies must know the NAME:PASSWORD in this file.
    #[arg(long, value_name = "FILE")]
    proxy_password_file: Option<PathBuf>,
    /// A port here that stands for a host and port over there; repeat it for more.
    #[arg(long, value_name = "[ADDR:]PORT=HOST:PORT")]
    forward: Vec<Forward>,
    /// A port of ours on the hub that stands for a host and port of this side; repeat it for more.
    #[arg(long, value_name = "PORT=HOST:PORT")]
    reverse: Vec<Reverse>,
    /// How `vpnclient nc --via` calls this client [default: the hub's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

#[derive(Debug, Args)]
struct SessionArgs {
    /// The number of TCP connections.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=32))]
    connections: u32,
    /// Let each TCP connection carry data one way only.
    #[arg(long)]
    half_duplex: bool,
    /// Compress the data.
    #[arg(long)]
    compress: bool,
    /// Send and take only frames of ordinary length, also where the server would carry longer ones: for looking for a
    /// fault.
    #[arg(long)]
    no_super_frames: bool,
    /// Ask for the right to bridge or route for others.
    #[arg(long)]
    bridge: bool,
    /// Send the data by UDP whenever that works. Unless given, a stock server gets it so, and one of ours only while there is no
    /// TCP connection, since TCP is faster where no packets are lost.
    #[arg(long)]
    udp: bool,
    /// Never send anything by UDP.
    #[arg(long, conflicts_with = "udp")]
    no_udp: bool,
}

impl Connect {
    /// What is wanted from which server. Asks for the password where it must.
    pub fn wish(&self, reporter: &Reporter) -> Result<Wish, Failure> {
        if self.hub.is_empty() || self.user.is_empty() {
            return Err(Failure::Usage(
                "hub and user have names; give --hub and --user".to_owned(),
            ));
        }
        let options = SessionOptions {
            max_connection: self.session.connections,
            use_compress: self.session.compress,
            half_connection: self.session.half_duplex,
            bridge: self.session.bridge,
            super_frames: !self.session.no_super_frames && !self.session.compress,
            ..SessionOptions::default()
        };
        Ok(Wish {
            target: self.server.clone(),
            trust: self.trust.trust()?,
            identity: Identity {
                hub: self.hub.clone(),
                user: self.user.clone(),
                proof: self.proof.proof(&self.user, reporter)?,
            },
            options,
            udp: match (self.session.udp, self.session.no_udp) {
                (_, true) => None,
                (true, _) => Some(UdpUse::WhenUsable),
                (false, false) => Some(UdpUse::StandBy),
            },
            unique_id: rand::random(),
        })
    }

    /// How long to try, and by how much.
    pub fn settings(&self) -> Settings {
        Settings {
            connections: self.session.connections,
            once: self.once,
            keep_trying: self.keep_trying,
        }
    }

    /// The doors to open, if this machine is to take part without a device.
    pub fn rootless(&self) -> Result<Option<RootlessSettings>, Failure> {
        let args = &self.rootless;
        let any = args.rootless
            || !args.socks5.is_empty()
            || !args.http_proxy.is_empty()
            || !args.forward.is_empty()
            || !args.reverse.is_empty();
        if !any {
            return Ok(None);
        }
        let password = args.proxy_password_file.as_deref();
        Ok(Some(RootlessSettings {
            mac: self.device.mac,
            routes: self.device.routes(),
            socks5: args.socks5.clone(),
            http: args.http_proxy.clone(),
            password: password.map(ProxyPassword::from_file).transpose()?,
            forwards: args.forward.clone(),
            reverses: args.reverse.clone(),
        }))
    }

    /// How programs of this user call this client.
    pub fn name(&self) -> &str {
        self.rootless.name.as_deref().unwrap_or(&self.hub)
    }

    /// How this machine takes part.
    pub fn device(&self) -> DeviceSettings {
        DeviceSettings {
            tap: self.device.tap.clone(),
            mac: self.device.mac,
            offload: !self.device.no_offload,
            dhcp: !self.device.no_dhcp,
            routes: self.device.routes(),
            dns: !self.device.no_dns,
        }
    }
}

impl DeviceArgs {
    fn routes(&self) -> RouteMode {
        if self.no_routes {
            RouteMode::None
        } else {
            self.routes
        }
    }
}

impl ProofArgs {
    fn proof(&self, user: &str, reporter: &Reporter) -> Result<Proof, Failure> {
        if self.anonymous {
            return Ok(Proof::Anonymous);
        }
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            let password = password::obtain(self.password_file.as_deref(), user)?;
            if let Some(note) = password.note {
                reporter.show(&Event::Note(note));
            }
            return Ok(Proof::Password(password.text));
        };
        let wrong = |e: &dyn std::fmt::Display| Failure::Usage(e.to_string());
        let chain = tls::certificates_from_file(cert).map_err(|e| wrong(&e))?;
        let key_der = tls::key_from_file(key).map_err(|e| wrong(&e))?;
        let key = SigningKey::from_der(key_der.secret_der())
            .map_err(|e| Failure::Usage(format!("{}: {e}; give an RSA key", key.display())))?;
        let certificate = chain.first().map(|first| first.to_vec()).unwrap_or_default();
        Ok(Proof::Certificate {
            certificate,
            key: Box::new(key),
        })
    }
}

impl TrustArgs {
    fn trust(&self) -> Result<Trust, Failure> {
        match (&self.ca, self.pin, self.insecure) {
            (Some(file), ..) => Trust::from_file(file).map_err(|e| Failure::Usage(e.to_string())),
            (None, Some(pin), _) => Ok(Trust::Pin(pin)),
            (None, None, true) => Ok(Trust::Insecure),
            (None, None, false) => Ok(Trust::System),
        }
    }
}

fn parse_mac(text: &str) -> Result<[u8; 6], String> {
    let wrong = || "a hardware address is six pairs of hexadecimal digits, 02:00:5e:10:00:01".to_owned();
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
    }
    if parts.next().is_some() {
        Err(wrong())
    } else {
        Ok(mac)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Connect, clap::Error> {
        let words = ["vpnclient", "connect"].into_iter().chain(line.split(' '));
        match Cli::try_parse_from(words)?.command {
            Command::Connect(connect) => Ok(*connect),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_ordinary_line_means_what_it_says() {
        let connect =
            parse("vpn.example.org:5555 --hub lab --user alice --connections 8 --no-routes").unwrap();
        assert_eq!(connect.server.to_string(), "vpn.example.org:5555");
        assert_eq!(connect.settings().connections, 8);
        let device = connect.device();
        assert_eq!(
            (device.routes, device.dhcp, device.dns),
            (RouteMode::None, true, true)
        );
        assert!(matches!(connect.trust.trust(), Ok(Trust::System)));
    }

    #[test]
    fn any_door_does_without_a_device() {
        let settings = |line: &str| parse(line).unwrap().rootless().unwrap();
        assert!(settings("host --hub lab --user alice").is_none());
        for doors in [
            "--rootless",
            "--socks5 1080",
            "--http-proxy 127.0.0.1:3128",
            "--forward 8080=web.private:80 --forward 2222=10.0.1.2:22",
            "--reverse 2222=127.0.0.1:22",
        ] {
            let line = format!("host --hub lab --user alice {doors}");
            assert!(settings(&line).is_some(), "{doors}");
        }
    }

    #[test]
    fn contradictions_and_nonsense_are_refused() {
        for line in [
            "host --hub lab",
            "host --user alice",
            "host --hub lab --user alice --pin sha256:00",
            "host --hub lab --user alice --insecure --ca file",
            "host --hub lab --user alice --anonymous --password-file file",
            "host --hub lab --user alice --cert file",
            "host --hub lab --user alice --connections 33",
            "host --hub lab --user alice --mac 02:00",
            "host --hub lab --user alice --no-routes --routes default",
            "host --hub lab --user alice --password secret",
            "host:port --hub lab --user alice",
            "host --hub lab --user alice --rootless --tap vpn0",
            "host --hub lab --user alice --forward 8080",
            "host --hub lab --user alice --reverse 0=127.0.0.1:22",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_hardware_address_is_read_in_both_notations() {
        assert_eq!(parse_mac("02:00:5e:10:00:0a"), Ok([2, 0, 0x5e, 0x10, 0, 0x0a]));
        assert_eq!(parse_mac("02-00-5E-10-00-0A"), Ok([2, 0, 0x5e, 0x10, 0, 0x0a]));
        for text in [
            "",
            "02:00:5e:10:00",
            "02:00:5e:10:00:0a:0b",
            "2:0:5e:10:0:a",
            "0x:00:5e:10:00:0a",
        ] {
            assert!(parse_mac(text).is_err(), "{text}");
        }
    }
}
