//! A server of either kind, its administrator, and sessions that carry raw frames.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use hub_core::frame::Frame;
use hubward_tests::process::IN_TIME;
use protocol::handshake::{Auth, ClientVersion, Login, NodeInfo, Request, SessionOptions, Welcome};
use protocol::password::admin_hash;
use protocol::policy::Policy;
use protocol::rpc::access::{AccessList, AccessRule};
use protocol::rpc::hub::{HubSettings, HubType};
use protocol::rpc::method::{CreateHub, CreateUser, SetAccessList, SetHubExtOptions};
use protocol::rpc::option::{HubOption, HubOptions};
use protocol::rpc::user::{AuthType, User};
use protocol::tunnel::Side;
use tokio::sync::mpsc;
use tokio::time::timeout;
use transport::admin::AdminClient;
use transport::dial::{Dialed, Target, dial};
use transport::tls::Trust;
use transport::tunnel::{Terms, Tunnel};

use super::frames::{ethernet, mac};

/// What takes longer does not come.
pub(crate) const PATIENCE: Duration = IN_TIME;

const HUB: &str = "lab";

/// Where a server is, and the password of its administrator.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) port: u16,
    pub(crate) password: &'static str,
}

impl Place {
    async fn dial(&self) -> Result<Dialed> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let target: Target = address.to_string().parse()?;
        Ok(dial(&target, &Trust::Insecure, &mut |_| {}).await?)
    }

    pub(crate) async fn administer(&self) -> Result<Admin> {
        let dialed = self.dial().await?;
        let client = AdminClient::login(dialed, None, &admin_hash(self.password.as_bytes())).await?;
        Ok(Admin { client, users: 0 })
    }
}

/// The administrator of the hub under test.
pub(crate) struct Admin {
    client: AdminClient,
    users: u32,
}

impl Admin {
    pub(crate) async fn make_hub(&mut self) -> Result<()> {
        let hub = HubSettings {
            hub_name: HUB.to_owned(),
            online: true,
            hub_type: HubType::Standalone,
            ..HubSettings::default()
        };
        self.client.call::<CreateHub>(&hub).await?;
        Ok(())
    }

    /// Makes a user with this policy; their name.
    pub(crate) async fn add_user(&mut self, policy: &[(&str, u32)]) -> Result<String> {
        self.users += 1;
        let name = format!("user{}", self.users);
        let mut wanted = Policy::default();
        for (row, value) in policy {
            wanted.set_text(row, &value.to_string())?;
        }
        let user = User {
            hub_name: HUB.to_owned(),
            name: name.clone(),
            auth_type: AuthType::Anonymous,
            policy: (!policy.is_empty()).then_some(wanted),
            ..User::default()
        };
        self.client.call::<CreateUser>(&user).await?;
        Ok(name)
    }

    pub(crate) async fn set_options(&mut self, options: &[(&str, u32)]) -> Result<()> {
        let row = |(name, value): &(&str, u32)| HubOption {
            name: (*name).to_owned(),
            value: *value,
            ..HubOption::default()
        };
        let options = HubOptions {
            hub_name: HUB.to_owned(),
            options: options.iter().map(row).collect(),
        };
        self.client.call::<SetHubExtOptions>(&options).await?;
        Ok(())
    }

    pub(crate) async fn set_rules(&mut self, rules: Vec<AccessRule>) -> Result<()> {
        let list = AccessList {
            hub_name: HUB.to_owned(),
            rules,
        };
        self.client.call::<SetAccessList>(&list).await?;
        Ok(())
    }
}

/// A session of the hub under test.
pub(crate) struct Peer {
    /// Its letter in cases: S is the one with the policy, A and B are its neighbours.
    pub(crate) letter: char,
    /// The station that marks the ends of steps.
    pub(crate) station: [u8; 6],
    tunnel: Tunnel,
    inbound: mpsc::UnboundedReceiver<Bytes>,
}

impl Peer {
    pub(crate) async fn enter(
        place: &Place,
        user: &str,
        letter: char,
        number: u32,
        options: SessionOptions,
    ) -> Result<Self> {
        let mut dialed = place.dial().await?;
        let login = Login {
            hub: HUB.to_owned(),
            user: user.to_owned(),
            auth: Auth::Anonymous,
            options,
            client: ClientVersion {
                product: "Test Client".to_owned(),
                version: protocol::VERSION,
                build: protocol::BUILD,
            },
            client_id: 0,
            unique_id: None,
            node: Some(NodeInfo {
                unique_id: rand::random(),
                ..NodeInfo::default()
            }),
            os: None,
        };
        let answer = dialed.request(&Request::Login(Box::new(login)).to_pack()).await?;
        let welcome =
            Welcome::from_pack(&answer).map_err(|code| anyhow!("{user} was refused with {code:?}"))?;
        let terms = Terms {
            name: welcome.session_name.clone(),
            side: Side::Client,
            timeout: Duration::from_millis(welcome.timeout_ms.into()),
            max_connections: welcome.max_connection,
            half_duplex: welcome.half_connection,
            qos: welcome.qos,
            compress: welcome.use_compress,
            super_frames: welcome.super_frames,
            queue_bytes: 8 << 20,
        };
        let (sender, inbound) = mpsc::unbounded_channel();
        let tunnel = Tunnel::start(
            terms,
            Arc::new(move |frames: &mut Vec<Frame>| {
                for frame in frames.drain(..) {
                    let _ = sender.send(frame.bytes);
                }
            }),
        );
        let (stream, early) = dialed.into_stream();
        tunnel.add(stream, &early, tunnel.first_direction());
        Ok(Self {
            letter,
            station: mac(letter, number),
            tunnel,
            inbound,
        })
    }

    pub(crate) fn send(&self, frames: impl IntoIterator<Item = Vec<u8>>) {
        self.tunnel.send(&mut frames.into_iter().map(Frame::new));
    }

    /// The frames that came before this mark, but for those of the server's own making.
    pub(crate) async fn until(&mut self, mark: &Mark) -> Result<Vec<Bytes>> {
        let mut frames = Vec::new();
        loop {
            let frame = timeout(PATIENCE, self.inbound.recv())
                .await
                .with_context(|| format!("no mark at {}", self.letter))?
                .context("the tunnel ended")?;
            if frame.starts_with(&self.station) && mark.is(&frame) {
                return Ok(frames);
            }
            if !is_of_the_server(&frame) {
                frames.push(frame);
            }
        }
    }

    /// The frames that come soon: for those whom no mark reaches.
    pub(crate) async fn for_a_while(&mut self) -> Vec<Bytes> {
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = timeout(Duration::from_millis(200), self.inbound.recv()).await {
            if !is_of_the_server(&frame) {
                frames.push(frame);
            }
        }
        frames
    }

    /// The next frame, but for those of the server's own making.
    pub(crate) async fn next(&mut self) -> Result<Bytes> {
        loop {
            let frame = timeout(PATIENCE, self.inbound.recv())
                .await
                .with_context(|| format!("nothing comes to {}", self.letter))?
                .context("the tunnel ended")?;
            if !is_of_the_server(&frame) {
                return Ok(frame);
            }
        }
    }

    /// Whether this mark comes in this time; what comes before it is added to `before`.
    pub(crate) async fn collects_until(
        &mut self,
        mark: &Mark,
        before: &mut Vec<Bytes>,
        within: Duration,
    ) -> bool {
        let wait = async {
            while let Some(frame) = self.inbound.recv().await {
                if frame.starts_with(&self.station) && mark.is(&frame) {
                    return true;
                }
                if !is_of_the_server(&frame) {
                    before.push(frame);
                }
            }
            false
        };
        timeout(within, wait).await.unwrap_or(false)
    }

    pub(crate) async fn leave(self) {
        self.tunnel.close();
        self.tunnel.closed().await;
    }
}

/// Marks, and what the server sends by itself to find out who is there.
fn is_of_the_server(frame: &[u8]) -> bool {
    frame.get(6..8) == Some(&[0x00, 0xae]) || frame.windows(WORD.len()).any(|part| part == WORD)
}

/// The frame that ends a step: what has not come before it does not come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    number: u32,
    kind: MarkKind,
}

/// What marks are made of; a policy must let them pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MarkKind {
    /// Not of IP.
    #[default]
    Plain,
    /// UDP over IPv4.
    V4,
    /// UDP over IPv6.
    V6,
}

const WORD: &[u8; 8] = b"filtered";

impl Mark {
    pub(crate) fn new(number: u32, kind: MarkKind) -> Self {
        Self { number, kind }
    }

    pub(crate) fn frame(&self, from: &Peer, to: &Peer) -> Vec<u8> {
        let way = super::frames::Way {
            source: from.station,
            destination: to.station,
        };
        let payload = [&WORD[..], &self.number.to_be_bytes(), &[0; 40]].concat();
        let letter = from.letter as u8;
        match self.kind {
            MarkKind::Plain => ethernet(from.station, to.station, 0x88b5, &payload),
            MarkKind::V4 => way.udp4([10, 9, 0, letter], [10, 9, 0, to.letter as u8], (9, 9), &payload),
            MarkKind::V6 => {
                let address = |letter: u8| {
                    let mut address = [0; 16];
                    address[..2].copy_from_slice(&[0xfe, 0x80]);
                    address[15] = letter;
                    address
                };
                way.udp6(address(letter), address(to.letter as u8), (9, 9), &payload)
            }
        }
    }

    fn is(&self, frame: &[u8]) -> bool {
        let wanted = [&WORD[..], &self.number.to_be_bytes()].concat();
        frame.windows(wanted.len()).any(|part| part == wanted)
    }
}
