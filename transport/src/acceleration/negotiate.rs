//! What login and welcome say about UDP acceleration (protocol §8.1), and the sockets that go with it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use protocol::acceleration::{Key, Settings, Version};
use protocol::handshake::{UdpGrant, UdpOffer, UdpUse};
use tokio::net::UdpSocket;

use super::socket::{bind_anywhere, bind_in_range};

/// What both ends have agreed on, and our socket.
#[derive(Debug)]
pub struct Agreed {
    pub(super) socket: UdpSocket,
    pub(super) settings: Settings,
    pub(super) when: UdpUse,
}

impl Agreed {
    /// The longest TCP segment that should go this way (protocol §8.6).
    #[must_use]
    pub fn tcp_mss(&self) -> u16 {
        protocol::acceleration::tcp_mss(self.settings.peer)
    }
}

/// A client's offer and the socket it is about.
#[derive(Debug)]
pub struct Offered {
    /// What goes into the login.
    pub offer: UdpOffer,
    socket: UdpSocket,
}

/// Offers versions up to `highest` from the address of the TCP connection, wherever there is a free port.
///
/// # Errors
/// When no socket is to be had; a session can do without.
pub fn offer(local: IpAddr, highest: Version, when: UdpUse) -> io::Result<Offered> {
    let ip = local.to_canonical();
    // On no address of its own: a client that moves goes on from where it is then (protocol §8.5).
    let anywhere = match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = bind_anywhere(anywhere)?;
    let offer = UdpOffer {
        version: 1,
        max_version: highest.number(),
        ip,
        port: socket.local_addr()?.port(),
        key: rand::random(),
        key_v2: rand::random(),
        hmac: true,
        fast_detect: true,
        ours: Some(when),
    };
    Ok(Offered { offer, socket })
}

impl Offered {
    /// What comes of it when the server at `peer` (of the TCP connection) grants this. Datagrams go to that address alone,
    /// whatever address the grant names; and never in clear.
    #[must_use]
    pub fn granted(self, grant: &UdpGrant, peer: IpAddr, compress: bool) -> Option<Agreed> {
        let version = Version::up_to(grant.version);
        if !grant.use_encryption || version.number() > self.offer.max_version {
            return None;
        }
        let settings = Settings {
            version,
            our_key: Key::new(self.offer.key, self.offer.key_v2),
            peer_key: Key::new(grant.key, grant.key_v2),
            our_cookie: grant.client_cookie,
            peer_cookie: grant.server_cookie,
            fast_detect: grant.fast_detect,
            compress,
            ours: grant.ours.is_some(),
            peer: SocketAddr::new(peer.to_canonical(), grant.port),
        };
        Some(Agreed {
            socket: self.socket,
            settings,
            when: grant
                .ours
                .map_or(UdpUse::WhenUsable, |_| self.offer.ours.unwrap_or_default()),
        })
    }
}

/// Grants a client's offer; `local` and `peer` are the ends of its TCP connection. The address that the client names is
/// not used: a user could have us send to any machine that we reach.
///
/// # Errors
/// When no socket is to be had; the session does without then.
pub fn grant(
    offer: &UdpOffer,
    local: IpAddr,
    peer: IpAddr,
    compress: bool,
) -> io::Result<Option<(UdpGrant, Agreed)>> {
    if offer.port == 0 {
        return Ok(None);
    }
    let socket = bind_in_range(local.to_canonical())?;
    let version = Version::up_to(offer.max_version);
    let server_cookie = nonzero();
    let grant = UdpGrant {
        version: version.number(),
        ip: local.to_canonical(),
        port: socket.local_addr()?.port(),
        key: rand::random(),
        key_v2: rand::random(),
        server_cookie,
        client_cookie: loop {
            let cookie = nonzero();
            if cookie != server_cookie {
                break cookie;
            }
        },
        use_encryption: true,
        hmac: offer.hmac,
        fast_detect: offer.fast_detect,
        ours: offer.ours,
    };
    let settings = Settings {
        version,
        our_key: Key::new(grant.key, grant.key_v2),
        peer_key: Key::new(offer.key, offer.key_v2),
        our_cookie: grant.server_cookie,
        peer_cookie: grant.client_cookie,
        fast_detect: grant.fast_detect,
        compress,
        ours: offer.ours.is_some(),
        peer: SocketAddr::new(peer.to_canonical(), offer.port),
    };
    let when = offer.ours.unwrap_or(UdpUse::WhenUsable);
    Ok(Some((
        grant,
        Agreed {
            socket,
            settings,
            when,
        },
    )))
}

fn nonzero() -> u32 {
    rand::random::<u32>().max(1)
}
