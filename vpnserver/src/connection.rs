//! One TCP connection of the server, from `accept` to its end: what does the peer want, and may it?

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::socket::{setsockopt, sockopt};
use protocol::error::ErrorCode;
use protocol::handshake::{
    Attached, ChangePassword, Hello, HubList, Login, Request, TIMEOUT_MS, UdpGrant, Welcome,
};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use transport::acceleration::negotiate as udp_offer;
use transport::accept::{AcceptError, Asked, NEGOTIATION_TIMEOUT, Negotiation};
use transport::cipher::Cipher;

use crate::audit::{Doing, Who};
use crate::connections::Listed;
use crate::events::Event;
use crate::gate::Pass;
use crate::login::{Granted, Refused};
use crate::server::Server;
use crate::session::{self, Origin, Session};
use crate::{admin, api};

/// What the server calls itself on the wire.
pub const PRODUCT: &str = "Hubward VPN Server (64 bit)";

/// Serves a connection. The pass is given back once the peer is no stranger any more.
pub async fn serve(server: Arc<Server>, tcp: TcpStream, pass: Pass) {
    // All that comes before a session needs tens of kilobytes for a moment, and a task stays as large as its largest
    // moment: it has a box of its own, which is given back before the session's long and quiet life.
    let opened = Box::pin(arrive(server, tcp, pass)).await;
    if let Some(ending) = opened {
        let session = ending.session.clone();
        session.run().await;
        drop(ending);
        session.tunnel.closed().await;
    }
}

/// Serves a connection up to its end, or to the session that came of it.
async fn arrive(server: Arc<Server>, tcp: TcpStream, pass: Pass) -> Option<Ending> {
    let (Ok(peer), Ok(local)) = (tcp.peer_addr(), tcp.local_addr()) else {
        return None;
    };
    notice_silent_death(&tcp);
    let (peer, local) = (canonical(peer), canonical(local));
    let listed = server.connections.enter(server.connection_number(), peer, local);
    let deadline = tokio::time::Instant::now() + NEGOTIATION_TIMEOUT;
    let outcome = tokio::select! {
        outcome = timeout_at(deadline, Box::pin(negotiate(&server, tcp))) => outcome,
        () = listed.hung_up() => return None,
    };
    let reason = match outcome {
        Ok(Ok((negotiation, Asked::Request(request)))) => {
            return grant(&server, listed, negotiation, request, pass, (peer, local)).await;
        }
        Ok(Ok((negotiation, Asked::Api))) => {
            let stranger = api::Stranger { peer, pass, deadline };
            Box::pin(api::serve(server, negotiation, listed, stranger)).await;
            return None;
        }
        // A port scan or a health check; not worth a line.
        Ok(Err(AcceptError::Closed)) => return None,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no login within {} seconds", NEGOTIATION_TIMEOUT.as_secs()),
    };
    server.events.report(&Event::StrangerLeft { peer, reason });
    None
}

/// Lets the kernel find out that a peer is gone for good, in about two minutes: sessions have keep-alives of their own,
/// administrators may be quiet for days.
fn notice_silent_death(tcp: &TcpStream) {
    // Where the kernel refuses, such a connection stays until the server ends; it does no harm.
    let _ = setsockopt(tcp, sockopt::KeepAlive, &true);
    let _ = setsockopt(tcp, sockopt::TcpKeepIdle, &60);
    let _ = setsockopt(tcp, sockopt::TcpKeepInterval, &15);
    let _ = setsockopt(tcp, sockopt::TcpKeepCount, &4);
}

async fn negotiate(server: &Server, tcp: TcpStream) -> Result<(Negotiation, Asked), AcceptError> {
    let hello = Hello {
        product: PRODUCT.to_owned(),
        version: protocol::VERSION,
        build: protocol::BUILD,
        random: rand::random(),
        wants_password: true,
    };
    let mut negotiation = Negotiation::begin(tcp, server.identity().tls, hello).await?;
    let asked = negotiation.request().await?;
    Ok((negotiation, asked))
}

async fn grant(
    server: &Arc<Server>,
    listed: Listed,
    negotiation: Negotiation,
    request: Request,
    pass: Pass,
    (peer, local): (SocketAddr, SocketAddr),
) -> Option<Ending> {
    match request {
        Request::Login(login) => {
            let login = Incoming {
                connection: listed.name(),
                listed,
                peer,
                local,
                login: *login,
            };
            return login.serve(server, negotiation, pass).await;
        }
        Request::AdditionalConnect {
            session_key, alone, ..
        } => {
            join(server, negotiation, &session_key, alone, peer).await;
        }
        Request::EnumHub => list_hubs(server, negotiation).await,
        Request::ChangePassword(change) => Box::pin(change_password(server, negotiation, change, peer)).await,
        Request::Admin(login) => {
            let client = &login.client;
            listed.administers(&client.product, (client.version, client.build));
            tokio::select! {
                () = Box::pin(admin::serve(server, negotiation, login, peer, pass)) => {}
                () = listed.hung_up() => {}
            }
        }
    }
    None
}

/// A login that arrived.
struct Incoming {
    connection: String,
    listed: Listed,
    peer: SocketAddr,
    local: SocketAddr,
    login: Login,
}

impl Incoming {
    async fn serve(self, server: &Arc<Server>, negotiation: Negotiation, pass: Pass) -> Option<Ending> {
        let logins = &server.logins;
        let login = logins.login(&**server, &self.login, negotiation.random(), self.peer);
        match login.await {
            Ok(granted) => self.open(server, negotiation, granted, pass).await,
            Err(refused) => {
                self.refuse(server, negotiation, refused).await;
                None
            }
        }
    }

    async fn refuse(self, server: &Server, negotiation: Negotiation, refused: Refused) {
        server.events.report(&Event::LoginRefused {
            connection: self.connection,
            peer: self.peer,
            hub: self.login.hub,
            user: self.login.user,
            code: refused.code,
            reason: refused.reason,
        });
        negotiation.refuse(refused.code).await;
    }

    /// Opens the session. Whoever gets the [`Ending`] stays with it until its end, so that its end is told whatever ends it.
    async fn open(
        self,
        server: &Arc<Server>,
        mut negotiation: Negotiation,
        granted: Granted,
        pass: Pass,
    ) -> Option<Ending> {
        let session = match self.book(server, &granted, negotiation.cipher()).await {
            Ok(session) => session,
            Err(refused) => {
                self.refuse(server, negotiation, refused).await;
                return None;
            }
        };
        let ending = Ending {
            server: server.clone(),
            session: session.clone(),
        };
        ending.opened();
        let udp = if granted.udp {
            self.accelerate(&session)
        } else {
            None
        };
        // What belongs to a session is no stranger, and is listed there.
        drop((self.listed, pass));
        let welcome = welcome(&session, &granted.message, udp);
        negotiation.reply(&welcome.to_pack()).await.ok()?;
        let (stream, early) = negotiation.into_stream();
        session.join(&[], stream, &early, session.tunnel.first_direction());
        Some(ending)
    }

    /// Opens a way by UDP for a session whose client offered it; without one the session is as good.
    fn accelerate(&self, session: &Session) -> Option<UdpGrant> {
        let offer = self.login.options.udp.as_ref()?;
        let compress = session.tunnel.terms().compress;
        match udp_offer::grant(offer, self.local.ip(), self.peer.ip(), compress) {
            Ok(granted) => granted.map(|(grant, agreed)| {
                // Of a flow that begins meanwhile, every segment fits a datagram (protocol §8.6).
                let (port, most) = (session.port().clone(), agreed.tcp_mss());
                session.tunnel.accelerate(agreed, move |in_use| {
                    port.set_segment_size(in_use.then_some(most));
                });
                grant
            }),
            Err(error) => {
                tracing::warn!(session = session.origin.name, %error, "no UDP port for the session");
                None
            }
        }
    }

    /// A session in the books. What was revoked while the login was under way has not found the session there, so that is
    /// asked again afterwards.
    async fn book(
        &self,
        server: &Server,
        granted: &Granted,
        cipher: Option<Cipher>,
    ) -> Result<Arc<Session>, Refused> {
        let offline = || Refused {
            code: ErrorCode::HubStopped,
            reason: format!("hub {} is offline", granted.hub),
        };
        let hub = server.hubs.named(&granted.hub).ok_or_else(offline)?;
        let origin = Origin {
            name: hub.session_name(&granted.user),
            connection: self.connection.clone(),
            hub: hub.name.clone(),
            user: granted.user.clone(),
            user_id: granted.user_id,
            group: granted.group.clone(),
            peer: self.peer,
            local: self.local,
            cipher,
            login: session::without_secrets(self.login.clone()),
            policy: session::effective_policy(granted.policy.clone(), &self.login),
            standing: granted.standing.clone(),
            opened_at: std::time::SystemTime::now(),
            opened: Instant::now(),
        };
        let port = session::plug(&hub, &origin);
        let session = Session::open(origin, rand::random(), port);
        let booked = server.sessions.book(&session, granted.room);
        let outcome = match booked {
            Err(code) => Err(Refused {
                code,
                reason: "somebody else was given the last place".to_owned(),
            }),
            Ok(()) if !hub.is_online() => Err(offline()),
            Ok(()) => server.logins.ask_again(granted).await,
        };
        if let Err(refused) = outcome {
            server.sessions.remove(session.key());
            session.end(session::reason::ACCESS_REVOKED);
            return Err(refused);
        }
        Ok(session)
    }
}

/// Takes a session out of the books and tells of its end, also when its task panics.
struct Ending {
    server: Arc<Server>,
    session: Arc<Session>,
}

impl Ending {
    fn opened(&self) {
        let origin = &self.session.origin;
        self.server.events.report(&Event::SessionOpened {
            session: origin.name.clone(),
            connection: origin.connection.clone(),
            hub: origin.hub.clone(),
            user: origin.user.clone(),
            peer: origin.peer,
            client: origin.login.client.product.clone(),
            max_connections: self.session.tunnel.terms().max_connections,
        });
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.session.end(session::reason::GONE);
        if let Some(usage) = self.session.usage() {
            self.server.usage.add(&usage);
        }
        self.server.sessions.remove(self.session.key());
        let origin = &self.session.origin;
        let (bytes_in, bytes_out) = self.session.bytes();
        self.server.events.report(&Event::SessionEnded {
            session: origin.name.clone(),
            hub: origin.hub.clone(),
            user: origin.user.clone(),
            peer: origin.peer,
            bytes_in,
            bytes_out,
            duration: origin.opened.elapsed(),
            reason: self.session.why_ended(),
        });
    }
}

fn welcome(session: &Session, message: &str, udp: Option<UdpGrant>) -> Welcome {
    let terms = session.tunnel.terms();
    Welcome {
        session_name: session.origin.name.clone(),
        connection_name: session.origin.connection.clone(),
        session_key: *session.key(),
        session_key_32: rand::random(),
        max_connection: terms.max_connections,
        use_encrypt: true,
        use_compress: terms.compress,
        half_connection: terms.half_duplex,
        qos: terms.qos,
        timeout_ms: u32::try_from(terms.timeout.as_millis()).unwrap_or(*TIMEOUT_MS.end()),
        vlan_id: session.origin.policy.vlan_id,
        policy: session.origin.policy.clone(),
        message: message.to_owned(),
        no_update_notice: true,
        udp,
        super_frames: terms.super_frames,
    }
}

async fn change_password(
    server: &Server,
    negotiation: Negotiation,
    change: ChangePassword,
    peer: SocketAddr,
) {
    // A change like any other: not without its line in the audit log.
    let slot = match server.audit.reserve().await {
        Ok(slot) => slot,
        Err(error) => {
            tracing::error!(%error, "no password is changed: the audit log cannot be written");
            return negotiation.refuse(ErrorCode::Internal).await;
        }
    };
    let outcome = server
        .logins
        .change_password(&change, negotiation.random(), peer)
        .await;
    let (hub, user) = (change.hub, change.user);
    let doing = Doing {
        who: Who::User(user.clone()),
        from: peer.to_string(),
        transport: "vpn",
        method: "ChangePassword".to_owned(),
        hub: Some(hub.clone()),
        name: Some(user.clone()),
        result: outcome.as_ref().copied().map_err(|refused| refused.code),
        left_out: 0,
    };
    match outcome {
        Ok(()) => {
            slot.write(doing).await;
            server.events.report(&Event::PasswordChanged { peer, hub, user });
            finish(negotiation).await;
        }
        Err(Refused { code, reason }) => {
            slot.give_back();
            let doing = Doing {
                who: Who::Stranger,
                ..doing
            };
            server.audit.refused_login(doing).await;
            server.events.report(&Event::PasswordRefused {
                peer,
                hub,
                user,
                code,
                reason,
            });
            negotiation.refuse(code).await;
        }
    }
}

/// Another TCP connection of a session (protocol §5.5). More than granted are refused, but for one: the stock client
/// opens a replacement before the server has noticed that the old one is dead. One that is `alone` says so of all the others.
async fn join(server: &Server, mut negotiation: Negotiation, key: &[u8; 20], alone: bool, peer: SocketAddr) {
    let Some(session) = server.sessions.with_key(key) else {
        let reason = "wanted to join a session that is over or never was".to_owned();
        server.events.report(&Event::StrangerLeft { peer, reason });
        return negotiation.refuse(ErrorCode::SessionTimeout).await;
    };
    let dead = if alone {
        session.tunnel.connections()
    } else {
        Vec::new()
    };
    if dead.is_empty() && session.tunnel.is_full() {
        let reason = format!("session {} has all its connections", session.origin.name);
        server.events.report(&Event::StrangerLeft { peer, reason });
        return negotiation.refuse(ErrorCode::TooManyConnections).await;
    }
    let direction = session.tunnel.next_direction(&dead);
    if negotiation
        .reply(&Attached { direction }.to_pack())
        .await
        .is_err()
    {
        return;
    }
    let (stream, early) = negotiation.into_stream();
    session.join(&dead, stream, &early, direction);
    server.events.report(&Event::SessionJoined {
        session: session.origin.name.clone(),
        peer,
        connections: session.tunnel.watch().borrow().connections,
    });
}

async fn list_hubs(server: &Server, mut negotiation: Negotiation) {
    let names = server
        .db
        .run(|store| {
            let hubs = store.hubs()?.into_iter().filter(|hub| !hub.no_enum);
            Ok(hubs.map(|hub| hub.name.to_string()).collect())
        })
        .await;
    if let Ok(names) = names
        && negotiation.reply(&HubList { names }.to_pack()).await.is_ok()
    {
        negotiation.close().await;
    }
}

/// Says that a request that ends the connection has been done.
async fn finish(mut negotiation: Negotiation) {
    let mut done = protocol::pack::Pack::new();
    done.set_int("error", 0);
    if negotiation.reply(&done).await.is_ok() {
        negotiation.close().await;
    }
}

/// An IPv4 peer of an IPv6 socket is an IPv4 peer.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_of_an_idle_session_is_small() {
        fn size<F>(_: impl FnOnce(Arc<Server>, TcpStream, Pass) -> F) -> usize {
            size_of::<F>()
        }
        // Ten thousand of them wait for most of their lives.
        assert!(size(serve) <= 2048, "{} bytes", size(serve));
    }
}
