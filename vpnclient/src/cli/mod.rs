//! The command line.

// What is written here is printed as help, and its brackets are no links.
#![allow(rustdoc::broken_intra_doc_links)]

mod device;
mod proof;
mod proxy;
mod rootless;
mod service;
mod session;
mod trust;

use clap::{Args, Parser, Subcommand};
use transport::dial::{Target, Way};
use transport::proxy::Proxy;
use transport::tls::Trust;

use crate::attempt::Wish;
use crate::connection::Settings;
use crate::control::{ControlSocket, Folder, SERVICE};
use crate::failure::Failure;
use crate::login::{Identity, Proof};
use crate::meeting::{Stranger, known_servers};
use crate::profile::{Presence, Profile};
use crate::report::Reporter;
use crate::rootless::Destination;
use crate::session::Growth;

use device::DeviceArgs;
use proof::ProofArgs;
use proxy::ProxyArgs;
use rootless::RootlessArgs;
pub use service::{Accounts, Down, Import, LogFormat, Options, Run, StatusArgs, Up};
use session::{SessionArgs, WHEN_IT_BREAKS};
use trust::TrustArgs;

/// Connects this machine to a Layer-2 VPN (Hubward or SoftEther).
#[derive(Debug, Parser)]
#[command(
    name = "vpnclient",
    version,
    after_help = "Exit codes: 0 done, 2 usage, 3 the server (out of reach, not trusted, refused), 4 this machine \
                  (missing privilege, device or program). `status` ends with 3 where nothing is connected."
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
    /// Take away what killed clients left on this machine: rules, routes, name servers, and kill switches that are on.
    Cleanup(Cleanup),
    /// Standard input and output at a host behind the tunnel of a running `vpnclient connect` without a device; for
    /// instance as `ssh -o ProxyCommand="vpnclient nc %h %p"`.
    Nc(Nc),
    /// The service: connects the saved accounts that are to connect at its start, and whatever vpncmd and `vpnclient up` ask for.
    Run(Run),
    /// What the connections of this user are and do. Ends with 0 where one is connected, else with 3.
    Status(StatusArgs),
    /// The accounts of the service.
    Accounts(Accounts),
    /// Connect an account of the service, and say what happens until it is connected.
    Up(Up),
    /// Disconnect an account of the service.
    Down(Down),
    /// An account's own options, beyond what vpncmd knows; or new ones for it.
    Options(Options),
    /// Take over accounts and settings of a stock client service, from its vpn_client.config or a .vpn file.
    Import(Import),
    /// Forget the certificate of a server that was trusted once, so that the next one can be.
    Forget(Forget),
}

/// `vpnclient forget`.
#[derive(Debug, Args)]
pub struct Forget {
    /// The server: HOST, HOST:PORT or [IPV6]:PORT; port 443 unless named.
    pub server: Target,
}

impl Forget {
    /// Forgets it.
    pub fn run(&self) -> Result<(), Failure> {
        let known = known_servers()
            .ok_or_else(|| Failure::Usage("this user has no home folder with known servers".to_owned()))?;
        let file = known.path().display();
        match known.forget(&self.server) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::Usage(format!("{} is not in {file}", self.server))),
            Err(error) => Err(Failure::Local(format!(
                "the file {file} cannot be changed: {error}"
            ))),
        }
    }
}

/// `vpnclient cleanup`.
#[derive(Debug, Args)]
pub struct Cleanup {
    /// Only say what there is.
    #[arg(long)]
    pub dry_run: bool,
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

/// What a saved account knows that options are not asked for.
#[derive(Debug)]
pub struct Saved {
    /// How the user proves who they are.
    pub proof: Proof,
    /// Whom to believe, unless the options say it.
    pub trust: Trust,
    /// The proxy on the way to the server.
    pub proxy: Option<Proxy>,
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
    proxy: ProxyArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    rootless: RootlessArgs,
    #[command(flatten)]
    session: SessionArgs,
    /// End when the connection is lost, instead of connecting again.
    #[arg(long, conflicts_with = "keep_trying", help_heading = WHEN_IT_BREAKS)]
    once: bool,
    /// Try again also when the first connection fails (unless the server refuses the user).
    #[arg(long, help_heading = WHEN_IT_BREAKS)]
    keep_trying: bool,
    /// Write events as JSON objects to standard output, one per line.
    #[arg(long, help_heading = None)]
    pub json: bool,
    /// Log details to standard error (twice for more); RUST_LOG can say it more exactly.
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = None)]
    pub verbose: u8,
}

impl Connect {
    /// The connection that the options describe. Asks for the password where it must.
    ///
    /// # Errors
    /// A file that an option names is wrong, or nobody gives a password.
    pub fn profile(&self, reporter: &Reporter) -> Result<Profile, Failure> {
        let wish = self.wish(
            self.proof.proof(&self.user, reporter)?,
            self.trust.trust()?,
            self.trust.stranger(),
            self.proxy.proxy(&self.server, reporter)?,
        )?;
        self.with(wish)
    }

    /// The connection of a saved account, of which the options say what the account does not. Nobody is asked for anything.
    ///
    /// # Errors
    /// A file that an option names is wrong.
    pub fn profile_of(&self, saved: Saved) -> Result<Profile, Failure> {
        let trust = if self.trust.is_given() {
            self.trust.trust()?
        } else {
            saved.trust
        };
        let stranger = match self.trust.stranger() {
            Stranger::Ask => Stranger::Refuse,
            said => said,
        };
        let wish = self.wish(saved.proof, trust, stranger, saved.proxy)?;
        self.with(wish)
    }

    fn with(&self, wish: Wish) -> Result<Profile, Failure> {
        let rootless = self.rootless.settings(self.device.mac, self.device.routes())?;
        Ok(Profile {
            wish,
            settings: self.settings(),
            presence: match (rootless, self.bridge()) {
                (Some(doors), _) => Presence::Rootless(doors),
                (None, Some(interface)) => Presence::Segment {
                    interface: interface.to_owned(),
                    offload: self.device.settings().offload,
                },
                (None, None) => Presence::Device(self.device.settings()),
            },
        })
    }

    fn wish(
        &self,
        proof: Proof,
        trust: Trust,
        stranger: Stranger,
        proxy: Option<Proxy>,
    ) -> Result<Wish, Failure> {
        if self.hub.is_empty() || self.user.is_empty() {
            return Err(Failure::Usage(
                "hub and user have names; give --hub and --user".to_owned(),
            ));
        }
        Ok(Wish {
            target: self.server.clone(),
            way: Way { proxy },
            trust,
            known: self.trust.known()?,
            stranger,
            identity: Identity {
                hub: self.hub.clone(),
                user: self.user.clone(),
                proof,
            },
            options: self.session.options(),
            udp: self.session.udp(),
            unique_id: rand::random(),
        })
    }

    /// How long to try, and by how much.
    fn settings(&self) -> Settings {
        Settings {
            growth: Growth {
                connections: self.session.connections,
                ..Growth::default()
            },
            once: self.once,
            keep_trying: self.keep_trying,
            patience: self.session.patience(),
        }
    }

    /// The socket by which programs of this user call this client.
    ///
    /// # Errors
    /// There is no place for it, or another client has the name that was given.
    pub fn control(&self) -> Result<ControlSocket, Failure> {
        let folder = Folder::of_user()?;
        match self.rootless.name.as_deref() {
            Some(SERVICE) => Err(Failure::Usage(format!(
                "{SERVICE} is the name of `vpnclient run`; give another with --name"
            ))),
            Some(name) => ControlSocket::bind(&folder, name),
            None => ControlSocket::bind_free(&folder, &self.hub),
        }
    }

    /// The interface whose segment joins the hub, if one is to.
    pub fn bridge(&self) -> Option<&str> {
        self.session.bridge.as_deref()
    }

    /// Whether a client without a socket would be of no use.
    pub fn needs_control(&self) -> bool {
        self.rootless.name.is_some() || self.rootless.is_wanted()
    }

    /// Whether this machine is to take part with a device.
    pub fn wants_device(&self) -> bool {
        !self.rootless.is_wanted() && self.bridge().is_none()
    }

    /// Checks the files that options name.
    ///
    /// # Errors
    /// One is wrong.
    pub fn check_files(&self) -> Result<(), Failure> {
        self.trust.trust()?;
        self.rootless
            .settings(self.device.mac, self.device.routes())
            .map(drop)
    }

    /// Whether the options name a proxy.
    pub fn has_proxy(&self) -> bool {
        self.proxy.is_given()
    }

    /// Whether the options say how the user proves who they are.
    pub fn has_proof(&self) -> bool {
        self.proof.is_given()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::network::RouteMode;

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
    fn help_has_every_option_under_the_heading_that_it_belongs_to() {
        let mut cli = Cli::command();
        let connect = cli.find_subcommand_mut("connect").unwrap();
        for (option, heading) in [
            ("hub", None),
            ("json", None),
            ("verbose", None),
            ("name", None),
            ("otp", Some("How the user proves who they are")),
            ("ca", Some("Whom to believe")),
            ("proxy", Some("Through a proxy")),
            ("tap", Some("With a device")),
            ("socks5", Some("Without privileges (no device; any of these)")),
            ("bridge", Some("The session")),
            ("once", Some(WHEN_IT_BREAKS)),
            ("retries", Some(WHEN_IT_BREAKS)),
        ] {
            let arg = connect.get_arguments().find(|arg| arg.get_id() == option);
            assert_eq!(arg.unwrap().get_help_heading(), heading, "{option}");
        }
    }

    #[test]
    fn an_ordinary_line_means_what_it_says() {
        let connect =
            parse("vpn.example.org:5555 --hub lab --user alice --connections 8 --no-routes").unwrap();
        assert_eq!(connect.server.to_string(), "vpn.example.org:5555");
        assert_eq!(connect.settings().growth.connections, 8);
        let device = connect.device.settings();
        assert_eq!(
            (device.routes, device.dhcp, device.dns),
            (RouteMode::None, true, true)
        );
        assert!(matches!(connect.trust.trust(), Ok(Trust::System)));
    }

    #[test]
    fn any_door_does_without_a_device() {
        let wants_device = |line: &str| parse(line).unwrap().wants_device();
        assert!(wants_device("host --hub lab --user alice"));
        for doors in [
            "--rootless",
            "--socks5 1080",
            "--http-proxy 127.0.0.1:3128",
            "--forward 8080=web.private:80 --forward 2222=10.0.1.2:22",
            "--reverse 2222=127.0.0.1:22",
        ] {
            let line = format!("host --hub lab --user alice {doors}");
            assert!(!wants_device(&line), "{doors}");
        }
    }

    #[test]
    fn a_segment_is_joined_in_bridge_mode_and_a_router_asks_for_the_same() {
        let bridge = parse("host --hub lab --user alice --bridge eth1").unwrap();
        assert_eq!(bridge.bridge(), Some("eth1"));
        assert!(bridge.session.options().bridge);
        let router = parse("host --hub lab --user alice --router --tap vpn0").unwrap();
        assert!(router.bridge().is_none() && router.session.options().bridge);
        assert!(
            !parse("host --hub lab --user alice")
                .unwrap()
                .session
                .options()
                .bridge
        );
    }

    #[test]
    fn contradictions_and_nonsense_are_refused() {
        for line in [
            "host --hub lab",
            "host --user alice",
            "host --hub lab --user alice --pin sha256:00",
            "host --hub lab --user alice --insecure --ca file",
            "host --hub lab --user alice --insecure --accept-new",
            "host --hub lab --user alice --anonymous --otp",
            "host --hub lab --user alice --otp --otp-file file",
            "host --hub lab --user alice --pkcs12 file --cert file --key file",
            "host --hub lab --user alice --proxy-auth-file file",
            "host --hub lab --user alice --proxy http://proxy --proxy-header nonsense",
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
            "host --hub lab --user alice --bridge",
            "host --hub lab --user alice --bridge eth1 --tap vpn0",
            "host --hub lab --user alice --bridge eth1 --socks5 1080",
            "host --hub lab --user alice --bridge eth1 --kill-switch",
            "host --hub lab --user alice --bridge eth1 --no-ipv6",
            "host --hub lab --user alice --rootless --kill-switch",
            "host --hub lab --user alice --socks5 1080 --kill-switch",
            "host --hub lab --user alice --http-proxy 3128 --block-lan",
            "host --hub lab --user alice --forward 8080=web.private:80 --tap vpn0",
            "host --hub lab --user alice --reverse 2222=127.0.0.1:22 --no-dhcp",
            "host --hub lab --user alice --retry-interval 0",
            "host --hub lab --user alice --retries 3 --once",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
