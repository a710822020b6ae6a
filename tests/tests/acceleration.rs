//! UDP acceleration between every two of stock client, stock server, our client and our server: it comes into use, its
//! loss costs nothing but speed, and it comes back.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hub_core::frame::Frame;
use hubward_tests::host::Host;
use hubward_tests::interceptor::Interceptor;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, HUB, PASSWORD, USER};
use hubward_tests::process::{Daemon, eventually};
use hubward_tests::site::{BESIDE, OUTSIDE, Site};
use hubward_tests::stock::{self, Account, Client, Proof, Stock, item};
use hubward_tests::transfer::equal_at_both_ends;
use nix::sys::socket::{getsockopt, sockopt::TcpMaxSeg};
use protocol::acceleration::Version;
use protocol::handshake::{Auth, ClientVersion, Login, NodeInfo, SessionOptions, UdpUse, Welcome};
use protocol::tunnel::Side;
use transport::acceleration::negotiate;
use transport::dial;
use transport::tls::Trust;
use transport::tunnel::{Terms, Tunnel};

/// How long a login, a lease or a change of the path may take on a busy machine. Stock ends wait ten seconds before they
/// trust a path.
const PATIENCE: Duration = Duration::from_secs(60);
const ACTIVE: &str = "UDP Acceleration is Active";
const SUPPORTED: &str = "UDP Acceleration is Supported";

/// The rules that stop a protocol between the user and the NAT instance.
fn block(host: &Host, protocol: &str) -> Result<()> {
    host.sh(&format!(
        "nft 'table inet no_{protocol} {{
            chain in {{ type filter hook input priority 0; iifname eth0 meta l4proto {protocol} drop; }}
            chain out {{ type filter hook output priority 0; oifname eth0 meta l4proto {protocol} drop; }}
        }}'"
    ))
    .map(drop)
}

/// Stops a protocol between the two hosts as a network does: what is sent does not arrive, and nobody is told. A stock client
/// needs this: one that its own host forbids to send ([`block`]) ends its session and comes back every five seconds to the same,
/// on a stock server as on ours (protocol §8.5).
fn lose_on_the_way(site: &Site, protocol: &str) -> Result<()> {
    for (host, card) in [(&site.user, "eth0"), (&site.nat, "wan")] {
        host.sh(&format!(
            "nft 'table inet no_{protocol} {{
                chain in {{ type filter hook input priority 0; iifname {card} meta l4proto {protocol} drop; }}
            }}'"
        ))?;
    }
    Ok(())
}

fn let_through(host: &Host, protocol: &str) -> Result<()> {
    host.sh(&format!("nft delete table inet no_{protocol}")).map(drop)
}

/// The page comes through although TCP between the two hosts carries nothing: the frames go by UDP, both ways.
fn page_comes_by_udp_alone(site: &Site) -> Result<()> {
    block(&site.user, "tcp")?;
    let seen = eventually(PATIENCE / 6, "the page, by UDP alone", || {
        Ok(site.user_sees_the_private_page().ok())
    });
    let_through(&site.user, "tcp")?;
    seen
}

/// UDP is used, dies, is not missed, and is used again. `active` asks one end whether it uses UDP.
fn comes_goes_and_comes_back(site: &Site, active: &dyn Fn() -> Result<bool>) -> Result<()> {
    let awaits =
        |wanted: bool, what: &str| eventually(PATIENCE, what, || Ok((active()? == wanted).then_some(())));
    awaits(true, "UDP in use")?;
    page_comes_by_udp_alone(site)?;
    block(&site.user, "udp")?;
    eventually(PATIENCE, "the page after UDP had died", || {
        Ok(site.user_sees_the_private_page().ok())
    })?;
    awaits(false, "UDP out of use")?;
    site.user_sees_the_private_page()?;
    let_through(&site.user, "udp")?;
    awaits(true, "UDP in use again")?;
    page_comes_by_udp_alone(site)
}

/// The name of the user's newest session in a list of sessions.
fn session_in(list: &str) -> Result<&str> {
    let prefix = format!("SID-{}-", USER.to_uppercase());
    list.split(|c: char| c.is_whitespace() || c == '|')
        .rfind(|word| word.starts_with(&prefix))
        .with_context(|| format!("no session of {USER} in {list}"))
}

/// What our server says of the user's session.
fn at_our_server(site: &Site) -> Result<String> {
    let list = ours::administer(&site.nat, HUB, &["SessionList"])?;
    ours::administer(&site.nat, HUB, &[&format!("SessionGet {}", session_in(&list)?)])
}

#[test]
fn stock_client_and_our_server_use_udp() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = stock.client(&site.user)?;
        let account = Account {
            udp_acceleration: true,
            ..Account::new("203.0.113.1:443", HUB, USER, Proof::Plain(PASSWORD))
        };
        client.connect(&site.user, &account)?;
        client.established(&site.user, PATIENCE)?;
        stock.lease(&site.user, Client::DEVICE)?;
        let active = || {
            let there = client.command(&site.user, "AccountStatusGet lab")?.stdout;
            let here = at_our_server(&site)?;
            ensure!(item(&here, SUPPORTED) == Some("Yes"), "{here}");
            let (there, here) = (item(&there, ACTIVE), item(&here, ACTIVE));
            // For a moment only one end may know.
            Ok((there == Some("Yes") && here == Some("Yes")).then_some(()))
        };
        eventually(PATIENCE, "UDP in use at both ends", active)?;
        page_comes_by_udp_alone(&site)?;
        let list = ours::administer(&site.nat, HUB, &["SessionList"])?;
        let session = session_in(&list)?.to_owned();
        lose_on_the_way(&site, "udp")?;
        eventually(PATIENCE, "the page after UDP had died", || {
            Ok(site.user_sees_the_private_page().ok())
        })
        .with_context(|| format!("{}\n{}", at_our_server(&site).unwrap_or_default(), server.log()))?;
        let list = ours::administer(&site.nat, HUB, &["SessionList"])?;
        ensure!(
            session_in(&list)? == session,
            "it has another session now: {list}"
        );
        client.disconnect(&site.user)?;
        server.stop()
    });
}

#[test]
fn a_hub_that_forbids_udp_grants_none() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        ours::administer(&site.nat, HUB, &["ExtOptionSet DisableUdpAcceleration /VALUE:1"])?;
        let client = stock.client(&site.user)?;
        let account = Account {
            udp_acceleration: true,
            ..Account::new("203.0.113.1:443", HUB, USER, Proof::Plain(PASSWORD))
        };
        client.connect(&site.user, &account)?;
        let status = client.established(&site.user, PATIENCE)?;
        ensure!(item(&status, SUPPORTED) == Some("No"), "{status}");
        ensure!(item(&at_our_server(&site)?, SUPPORTED) == Some("No"));
        server.stop()
    });
}

fn with_the_stock_server(lab: &Lab, stock: &Stock) -> Result<(Site, Daemon)> {
    let site = Site::new(lab)?;
    let server = stock.server(&site.nat)?;
    at_the_stock_server(stock, &site, "", &format!("HubCreate {HUB} /PASSWORD:none"))?;
    for command in [
        "SecureNatEnable",
        &format!("UserCreate {USER} /GROUP:none /REALNAME:none /NOTE:none"),
        &format!("UserPasswordSet {USER} /PASSWORD:{PASSWORD}"),
        "UserCreate guest /GROUP:none /REALNAME:none /NOTE:none",
        "UserAnonymousSet guest",
    ] {
        at_the_stock_server(stock, &site, HUB, command)?;
    }
    Ok((site, server))
}

fn at_the_stock_server(stock: &Stock, site: &Site, hub: &str, command: &str) -> Result<String> {
    let hub = format!("/ADMINHUB:{hub}");
    let options = if hub == "/ADMINHUB:" { vec![] } else { vec![&*hub] };
    stock
        .administer(&site.nat, "localhost:443", &options, command)?
        .success()
        .with_context(|| command.to_owned())
}

#[test]
fn our_client_and_the_stock_server_use_udp_while_it_works() {
    lab::run_with_stock(|lab, stock| {
        let (site, _server) = with_the_stock_server(lab, stock)?;
        let client = ours::Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure"])?;
        ours::address_of(&site.user, "lab", PATIENCE).with_context(|| client.daemon().log())?;
        let sessions = at_the_stock_server(stock, &site, HUB, "SessionList")?;
        let name = session_in(&sessions)?.to_owned();
        comes_goes_and_comes_back(&site, &|| {
            let status = at_the_stock_server(stock, &site, HUB, &format!("SessionGet {name}"))?;
            Ok(stock::item(&status, ACTIVE) == Some("Yes"))
        })
        .with_context(|| client.daemon().log())?;
        client.stop()
    });
}

/// What a new connection through the tunnel may send at once fits a datagram while frames go by UDP, and is whole otherwise.
fn segments_fit(site: &Site, by_udp: bool) -> Result<()> {
    const FITS: u32 = 1309;
    let size = || -> Result<u32> {
        let stream = site
            .user
            .within(|| TcpStream::connect_timeout(&site.private(), PATIENCE))??;
        Ok(getsockopt(&stream, TcpMaxSeg)?)
    };
    eventually(PATIENCE, "segments that fit the way", || {
        Ok(size().is_ok_and(|size| (size <= FITS) == by_udp).then_some(()))
    })
    .with_context(|| format!("by UDP: {by_udp}, size now {:?}", size()))
}

#[test]
fn our_client_and_our_server_use_udp_where_it_is_asked_for() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = ours::Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure", "--udp"])?;
        ours::address_of(&site.user, "lab", PATIENCE).with_context(|| client.daemon().log())?;
        comes_goes_and_comes_back(&site, &|| Ok(item(&at_our_server(&site)?, ACTIVE) == Some("Yes")))
            .with_context(|| format!("{}\n{}", client.daemon().log(), server.log()))?;
        segments_fit(&site, true)?;
        block(&site.user, "udp")?;
        segments_fit(&site, false)?;
        let_through(&site.user, "udp")?;
        client.stop()?;

        let client = ours::Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure", "--no-udp"])?;
        ours::address_of(&site.user, "lab", PATIENCE).with_context(|| client.daemon().log())?;
        let status = at_our_server(&site)?;
        ensure!(item(&status, SUPPORTED) == Some("No"), "{status}");
        client.stop()?;
        server.stop()
    });
}

/// UDP is used, the client gets another address, and UDP is used from there, too.
fn moves_with_the_client(site: &Site) -> Result<()> {
    let by_udp = || {
        eventually(PATIENCE, "the page, by UDP alone", || {
            Ok(page_comes_by_udp_alone(site).ok())
        })
    };
    by_udp()?;
    site.user
        .sh("ip address del 203.0.113.10/24 dev eth0; ip address add 203.0.113.11/24 dev eth0")?;
    eventually(PATIENCE, "the page from another address", || {
        Ok(site.user_sees_the_private_page().ok())
    })?;
    by_udp()
}

#[test]
fn udp_goes_on_from_another_address_of_our_client_to_our_server() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = ours::Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure", "--udp"])?;
        ours::address_of(&site.user, "lab", PATIENCE).with_context(|| client.daemon().log())?;
        let session = session_in(&ours::administer(&site.nat, HUB, &["SessionList"])?)?.to_owned();
        moves_with_the_client(&site)
            .with_context(|| format!("{}\n{}", client.daemon().log(), server.log()))?;
        let list = ours::administer(&site.nat, HUB, &["SessionList"])?;
        ensure!(session_in(&list)? == session, "another session: {list}");
        client.stop()?;
        server.stop()
    });
}

#[test]
fn udp_goes_on_from_another_address_of_our_client_to_the_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let (site, _server) = with_the_stock_server(lab, stock)?;
        let client = ours::Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure"])?;
        ours::address_of(&site.user, "lab", PATIENCE).with_context(|| client.daemon().log())?;
        let list = || at_the_stock_server(stock, &site, HUB, "SessionList");
        let session = session_in(&list()?)?.to_owned();
        moves_with_the_client(&site).with_context(|| client.daemon().log())?;
        ensure!(session_in(&list()?)? == session, "another session: {}", list()?);
        client.stop()
    });
}

/// Counts the datagrams that a host sends and receives, and the pieces of those that were cut on the way.
fn count_udp(host: &Host) -> Result<()> {
    host.sh(
        "nft 'table inet seen {
            counter sent { }
            counter received { }
            counter pieces { }
            chain out { type filter hook output priority 0; oifname eth0 meta l4proto udp counter name sent; }
            chain in { type filter hook input priority 0; iifname eth0 meta l4proto udp counter name received; }
            chain cut { type filter hook prerouting priority -450; iifname eth0 ip frag-off & 0x3fff != 0 counter name pieces; }
        }'",
    )
    .map(drop)
}

fn counted(host: &Host, counter: &str) -> Result<u64> {
    let said = host.sh(&format!("nft list counter inet seen {counter}"))?;
    // `packets 3 bytes 180`
    let mut words = said.split_whitespace().skip_while(|word| *word != "bytes");
    words
        .nth(1)
        .and_then(|bytes| bytes.parse().ok())
        .with_context(|| said.clone())
}

#[test]
fn bytes_that_go_by_udp_arrive_as_they_were_sent_and_in_datagrams_that_fit() {
    const BYTES: u64 = 64 << 20;
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let neighbour = site.neighbour(lab)?;
        let options = ["--tap", "lab", "--insecure", "--udp", "-v"];
        let first = ours::Client::connect(&site.user, OUTSIDE, &options)?;
        let second = ours::Client::connect_as(&neighbour, BESIDE, HUB, USER, PASSWORD, &options)?;
        let here = ours::address_of(&site.user, "lab", PATIENCE).with_context(|| first.daemon().log())?;
        let there = ours::address_of(&neighbour, "lab", PATIENCE).with_context(|| second.daemon().log())?;
        eventually(PATIENCE, "UDP in use at all ends", || {
            let logs = [first.daemon().log(), second.daemon().log(), server.log()];
            let works = logs.map(|log| log.matches("UDP acceleration works").count());
            Ok((works == [1, 1, 2]).then_some(()))
        })
        .with_context(|| server.log())?;
        let hosts = [&site.user, &neighbour];
        hosts.map(count_udp).into_iter().collect::<Result<()>>()?;
        equal_at_both_ends(&site.user, &neighbour, (there, 5001).into(), BYTES, 5)?;
        equal_at_both_ends(&neighbour, &site.user, (here, 5002).into(), BYTES, 6)?;
        for host in hosts {
            for way in ["sent", "received"] {
                let bytes = counted(host, way)?;
                ensure!(bytes > BYTES, "{bytes} bytes of {BYTES} were {way} by UDP");
            }
            // The hub has told both ends of the flow how long a segment may be.
            ensure!(counted(host, "pieces")? == 0, "datagrams were cut on the way");
        }
        ours::administer(&site.nat, HUB, &["ExtOptionSet DisableAdjustTcpMss /VALUE:1"])?;
        equal_at_both_ends(&site.user, &neighbour, (there, 5003).into(), BYTES / 64, 7)?;
        ensure!(
            counted(&neighbour, "pieces")? > 0,
            "a hub that does not say how long segments may be has the same effect"
        );
        first.stop()?;
        second.stop()?;
        server.stop()
    });
}

/// A frame with an ARP question for the hub's SecureNAT.
fn who_has_the_gateway() -> Frame {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([2, 0, 0, 0, 0, 9, 192, 168, 30, 9]);
    frame.extend([0, 0, 0, 0, 0, 0, 192, 168, 30, 1]);
    Frame::new(frame)
}

/// A client that speaks version 1 alone gets an answer by UDP from the SecureNAT of the server at `OUTSIDE`.
async fn talk_in_version_1() -> Result<()> {
    let target = OUTSIDE.parse()?;
    let mut dialed = dial::dial(&target, &Trust::Insecure, &mut |_| {}).await?;
    let offered = negotiate::offer(dialed.local.ip(), Version::V1, UdpUse::WhenUsable)?;
    let mut offer = offered.offer.clone();
    // As a peer that knows nothing of ours, and of version 2.
    offer.ours = None;
    let login = Login {
        hub: HUB.into(),
        user: "guest".into(),
        auth: Auth::Anonymous,
        options: SessionOptions {
            udp: Some(offer),
            ..SessionOptions::default()
        },
        client: ClientVersion {
            product: "old client".into(),
            version: protocol::VERSION,
            build: protocol::BUILD,
        },
        client_id: 0,
        unique_id: None,
        node: Some(NodeInfo::default()),
        os: None,
    };
    let answer = dialed.request(&login.to_pack()).await?;
    let welcome = Welcome::from_pack(&answer).map_err(|code| anyhow::anyhow!("refused: {code}"))?;
    let grant = welcome.udp.as_ref().context("no UDP was granted")?;
    ensure!(grant.version == 1, "version {}", grant.version);
    let peer: IpAddr = OUTSIDE.parse()?;
    ensure!(SocketAddr::new(grant.ip, 0).ip() == peer, "{}", grant.ip);
    let agreed = offered
        .granted(grant, peer, false)
        .context("the grant was not taken")?;

    let answers = Arc::new(Mutex::new(0));
    let counted = answers.clone();
    let inbound = move |frames: &mut Vec<Frame>| {
        let arp = frames
            .drain(..)
            .filter(|frame| frame.bytes.get(12..14) == Some(&[8, 6]));
        *counted.lock().unwrap_or_else(PoisonError::into_inner) += arp.count();
    };
    let terms = Terms {
        name: welcome.session_name.clone(),
        side: Side::Client,
        timeout: Duration::from_millis(welcome.timeout_ms.into()),
        max_connections: 1,
        half_duplex: false,
        qos: false,
        compress: false,
        super_frames: false,
        queue_bytes: 1 << 20,
    };
    let tunnel = Tunnel::start(terms, Arc::new(inbound));
    let (stream, early) = dialed.into_stream();
    let direction = tunnel.first_direction();
    tunnel.add(stream, &early, direction);
    tunnel.accelerate(agreed, |_| {});
    let lane = tunnel.lane().context("no lane")?.clone();
    let both_ways = async {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        loop {
            pace.tick().await;
            let (arrived, went) = lane.status().frames;
            let answers = *answers.lock().unwrap_or_else(PoisonError::into_inner);
            if arrived > 0 && went > 0 && answers > 0 {
                return;
            }
            tunnel.send(&mut std::iter::once(who_has_the_gateway()));
        }
    };
    tokio::time::timeout(PATIENCE, both_ways)
        .await
        .with_context(|| format!("{:?}", lane.status()))?;
    let status = lane.status();
    ensure!(status.in_use && status.version == Version::V1, "{status:?}");
    ensure!(status.refused == 0, "{status:?}");
    tunnel.close();
    tunnel.closed().await;
    Ok(())
}

fn a_client_of_version_1(site: &Site) -> Result<()> {
    site.user.within(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(talk_in_version_1())
    })?
}

/// A stock server behind a forwarder on its own machine ends every session that has UDP.
#[test]
fn our_client_does_without_udp_where_sessions_die_of_it() {
    lab::run_with_stock(|lab, stock| {
        let (site, _server) = with_the_stock_server(lab, stock)?;
        const BETWEEN: &str = "203.0.113.1:8443";
        let _between = Interceptor::start(&site.nat, BETWEEN.parse()?, ([127, 0, 0, 1], 443).into())?;
        let client = ours::Client::connect(&site.user, BETWEEN, &["--tap", "lab", "--insecure"])?;
        ours::address_of(&site.user, "lab", PATIENCE).with_context(|| client.daemon().log())?;
        site.user_sees_the_private_page()?;
        client.stop()
    });
}

#[test]
fn an_old_client_uses_version_1_with_our_server() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let guest = "UserCreate guest /GROUP:none /REALNAME:none /NOTE:none";
        ours::administer(&site.nat, HUB, &[guest, "UserAnonymousSet guest"])?;
        a_client_of_version_1(&site).with_context(|| server.log())?;
        server.stop()
    });
}

#[test]
fn our_version_1_is_that_of_the_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let (site, _server) = with_the_stock_server(lab, stock)?;
        a_client_of_version_1(&site)
    });
}
