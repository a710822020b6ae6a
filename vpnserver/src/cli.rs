//! The command line of the daemon.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use nat::Ipv4Net;

use crate::setup::{Published, TapAddress};

/// Hubward VPN server: Ethernet over TLS into virtual hubs.
#[derive(Debug, Parser)]
#[command(name = "vpnserver", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the daemon can be told.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve in the foreground until SIGTERM or SIGINT; log to standard error
    Run(Run),
    /// Serve in the background; returns when the server is ready
    Start(Run),
    /// End the server of the data folder
    Stop(Folder),
    /// Say whether the server of the data folder is running (exit code 0) or not (3)
    Status(Folder),
    /// Make what a new server needs, by questions or by options: passwords, a hub, a user, a network
    Setup(Box<Setup>),
    /// Take a vpn_server.config of the stock server in place of what is configured, and say what was taken and left
    Import(Import),
    /// Write what is configured as a vpn_server.config
    Export(Export),
    /// Let the networks of a cloud reach the Internet through this machine, a NAT instance, until SIGTERM
    NatInstance(NatInstance),
    /// Take away what killed servers left on this machine: rules, devices, addresses, kernel settings
    Cleanup(Cleanup),
    /// List the last states of the configuration, or put one back
    #[command(subcommand)]
    Backup(Backup),
}

/// Where the state is.
#[derive(Args, Clone, Debug)]
pub struct Folder {
    /// State folder [default: /var/lib/hubward as root, else $XDG_STATE_HOME/hubward]
    #[arg(long, value_name = "DIR", env = "HUBWARD_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// How to serve.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// Where the state is.
    #[command(flatten)]
    pub folder: Folder,
    /// Listen here, and not on the stored listeners (may be repeated)
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<Listen>,
    /// Set the administrator password from this file's first line if none is set yet
    #[arg(long, value_name = "FILE")]
    pub admin_password_file: Option<PathBuf>,
    /// Certificate chain to show (PEM), instead of the one made at the first start
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Where SecureNAT does its work
    #[arg(long, value_enum, default_value_t)]
    pub nat_mode: NatMode,
    /// Exchange only finished frames of ordinary length with TAP devices: slower, for kernels whose offload is broken
    #[arg(long)]
    pub no_offload: bool,
    /// How log lines look
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Whose packets to translate.
#[derive(Args, Clone, Debug)]
pub struct NatInstance {
    /// The public interface [default: that of the default route]
    #[arg(long, value_name = "IFACE")]
    pub out: Option<String>,
    /// A network to translate where no metadata service says which (may be repeated)
    #[arg(long, value_name = "NETWORK")]
    pub cidr: Vec<Ipv4Net>,
    /// Ask no metadata service
    #[arg(long, requires = "cidr")]
    pub no_metadata: bool,
    /// Where the metadata service is
    #[arg(
        long,
        value_name = "ADDR:PORT",
        env = "HUBWARD_METADATA",
        default_value = "169.254.169.254:80"
    )]
    pub metadata: SocketAddr,
    /// Seconds between two looks whether the networks have changed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub interval: u64,
    /// Seconds to wait for the metadata service at the start [default: 30, with --cidr 5]
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
    /// How log lines look
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// What to take away.
#[derive(Args, Clone, Debug)]
pub struct Cleanup {
    /// Where the state is.
    #[command(flatten)]
    pub folder: Folder,
    /// Say what would be taken away, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl Run {
    /// A run that nothing was said about.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            folder: Folder {
                data_dir: Some(folder.to_owned()),
            },
            listen: Vec::new(),
            admin_password_file: None,
            tls_cert: None,
            tls_key: None,
            nat_mode: NatMode::User,
            no_offload: false,
            log_format: LogFormat::Text,
        }
    }
}

/// What to make. What is there already stays, so this may be done again. At a terminal what is not given is asked for.
#[derive(Args, Clone, Debug)]
pub struct Setup {
    /// Where the state is.
    #[command(flatten)]
    pub folder: Folder,
    /// Ask nothing: what is not given is left as it is
    #[arg(long)]
    pub unattended: bool,
    /// The administrator password is this file's first line; a missing file is made, with a password in it
    #[arg(long, value_name = "FILE")]
    pub admin_password_file: Option<PathBuf>,
    /// The virtual hub [default: vpn]
    #[arg(long, value_name = "NAME")]
    pub hub: Option<String>,
    /// The first user
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The user's password is this file's first line; a missing file is made, with a password in it
    #[arg(long, value_name = "FILE", requires = "user")]
    pub user_password_file: Option<PathBuf>,
    /// Stations of the hub get addresses by DHCP and reach what this machine reaches (SecureNAT)
    #[arg(long, conflicts_with = "tap")]
    pub secure_nat: bool,
    /// The hub is a network of this machine, on the device tap_NAME; stations get addresses by DHCP
    #[arg(long, value_name = "NAME")]
    pub tap: Option<String>,
    /// The address of this machine on that device [default: 192.168.30.1/24]
    #[arg(long, value_name = "ADDR/BITS", requires = "tap")]
    pub tap_address: Option<TapAddress>,
    /// Publish a host behind this machine, as in 80=10.0.1.26:8080 or 53/udp=10.0.1.2:53
    #[arg(long, value_name = "PORT=ADDR:PORT")]
    pub publish: Option<Published>,
    /// Listen on this port, or only at this address (may be repeated; takes the place of the ports there are)
    #[arg(long, value_name = "[ADDR:]PORT")]
    pub listen: Vec<Listen>,
    /// The name or address by which users reach this server, for the line that tells them how to connect
    #[arg(long, value_name = "HOST")]
    pub address: Option<String>,
}

/// What to take.
#[derive(Args, Clone, Debug)]
pub struct Import {
    /// The configuration file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the state is.
    #[command(flatten)]
    pub folder: Folder,
    /// Say what would be taken, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Let stock clients go on with the standard password type (sets AllowStandardPassword in every hub)
    #[arg(long)]
    pub allow_standard_password: bool,
}

/// What to do with former states.
#[derive(Clone, Debug, Subcommand)]
pub enum Backup {
    /// List them, newest first
    List(Folder),
    /// Put one back; the present state is kept first
    Restore {
        /// Its number in the list
        number: u64,
        /// Where the state is.
        #[command(flatten)]
        folder: Folder,
    },
}

/// What to write.
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// The file to write, which only you can read then; without it, standard output
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Where the state is.
    #[command(flatten)]
    pub folder: Folder,
}

/// Where SecureNAT does its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum NatMode {
    /// In the kernel if this process may, else in user space
    #[default]
    Auto,
    /// TAP device and nftables; needs CAP_NET_ADMIN
    Kernel,
    /// A network stack of its own; needs nothing
    User,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// An address to listen on: `ADDR:PORT`, `:PORT` or `PORT`; without an address, every one of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let everywhere = |digits: &str| {
            let port = digits.parse().ok().filter(|port| *port != 0)?;
            Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port))
        };
        text.parse()
            .ok()
            .or_else(|| everywhere(text.strip_prefix(':').unwrap_or(text)))
            .map(Self)
            .ok_or("write ADDR:PORT, [IPV6]:PORT or a port from 1 to 65535")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_listener_is_written_as_users_write_it() {
        for (text, meant) in [
            ("127.0.0.1:443", "127.0.0.1:443"),
            ("[::1]:992", "[::1]:992"),
            ("5555", "[::]:5555"),
            (":5555", "[::]:5555"),
        ] {
            assert_eq!(
                text.parse::<Listen>().unwrap().0,
                meant.parse().unwrap(),
                "{text}"
            );
        }
        for text in ["", "0", "70000", "host:443", "127.0.0.1"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
