//! Staying connected: cables that are pulled, addresses and routes that change, machines that sleep, servers that forget, and
//! refusals after which nobody tries again.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hubward_tests::bench::ping;
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, Client, HUB, Server, USER, administer};
use hubward_tests::process::{Daemon, IN_TIME, eventually};
use hubward_tests::proxy::{Manner, Proxy};
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::stock::Stock;
use hubward_tests::transfer::equal_at_both_ends;
use nix::sys::signal::Signal;

/// How long the client may take once the network is back.
const BACK: Duration = Duration::from_secs(5);
/// The shortest time that a server keeps a session without connections, and without a word.
const GRACE: &str = "UserPolicySet tsumura /NAME:TimeOut /VALUE:5";
/// The virtual host of the hub.
const SECURE_NAT: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);
/// Much more than is on its way at any time.
const BYTES: u64 = 160 << 20;

fn connect(site: &Site, options: &[&str]) -> Result<Client> {
    connect_to(site, OUTSIDE, options)
}

/// A client of the server at this address of it, whose tunnel carries.
fn connect_to(site: &Site, server: &str, options: &[&str]) -> Result<Client> {
    let client = Client::connect(
        &site.user,
        server,
        &[&["--tap", "lab", "--insecure", "-v"], options].concat(),
    )?;
    carries(site).with_context(|| client.daemon().log())?;
    Ok(client)
}

/// Waits until the client has its address and the private page comes through the tunnel.
fn carries(site: &Site) -> Result<()> {
    ours::address_of(&site.user, "lab", IN_TIME)?;
    eventually(IN_TIME, "the private page", || {
        Ok(site.user_sees_the_private_page().ok())
    })
}

/// Gives the users of the stories a policy.
fn set_policy(site: &Site) -> Result<()> {
    administer(&site.nat, HUB, &[GRACE]).map(drop)
}

/// Switches the device at the server's end of the cable, and waits until the user's end has noticed.
fn cable(site: &Site, plugged: bool) -> Result<()> {
    let (state, carrier) = if plugged { ("up", "1") } else { ("down", "0") };
    site.nat.sh(&format!("ip link set wan {state}"))?;
    eventually(IN_TIME, &format!("a cable that is {state}"), || {
        let now = site.user.sh("cat /sys/class/net/eth0/carrier")?;
        Ok((now.trim() == carrier).then_some(()))
    })
}

/// Waits until a packet gets through the tunnel and back, and holds the client to its five seconds.
fn is_back(site: &Site, client: &Daemon, since: Instant) -> Result<()> {
    ping::is_answered(&site.user, SECURE_NAT, IN_TIME).with_context(|| client.log())?;
    let took = since.elapsed();
    ensure!(took <= BACK, "it took {took:?} to be back:\n{}", client.log());
    Ok(())
}

/// The client has the address that it had.
fn has_still(site: &Site, address: Ipv4Addr) -> Result<()> {
    let now = ours::address_of(&site.user, "lab", IN_TIME)?;
    ensure!(now == address, "it was {address} and is {now}");
    Ok(())
}

/// The user has logged in once: what broke was resumed.
fn is_the_first_session(server: &Server, client: &Client) -> Result<()> {
    let log = client.daemon().log();
    ensure!(sessions(server) == 1, "it logged in again:\n{log}");
    Ok(())
}

/// How many sessions of the user the server has seen.
fn sessions(server: &Server) -> usize {
    let is_users = |line: &&str| line.contains("session opened") && line.contains(USER);
    server.log().lines().filter(is_users).count()
}

#[test]
fn a_cable_that_is_plugged_in_again_carries_the_same_session_within_five_seconds() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = connect(&site, &[])?;
        let address = ours::address_of(&site.user, "lab", IN_TIME)?;
        for seconds in [1, 8] {
            cable(&site, false)?;
            // The outage itself.
            std::thread::sleep(Duration::from_secs(seconds));
            cable(&site, true)?;
            is_back(&site, client.daemon(), Instant::now())?;
        }
        has_still(&site, address)?;
        is_the_first_session(&server, &client)?;
        client.stop()?;
        server.stop()
    });
}

#[test]
fn after_an_outage_longer_than_the_grace_time_a_new_session_has_the_same_address_within_five_seconds() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        set_policy(&site)?;
        let client = connect(&site, &[])?;
        let address = ours::address_of(&site.user, "lab", IN_TIME)?;
        cable(&site, false)?;
        server.daemon().line_with("session ended", IN_TIME)?;
        client.daemon().line_with("the session is over", IN_TIME)?;
        // Pauses have grown by now; what ends them is the cable.
        let mark = client.daemon().mark();
        client
            .daemon()
            .line_after(mark, IN_TIME, "a pause of seconds", |line| {
                line.contains("next try in") && !line.contains(" ms")
            })?;
        cable(&site, true)?;
        is_back(&site, client.daemon(), Instant::now())?;
        has_still(&site, address)?;
        ensure!(sessions(&server) == 2, "{}", server.log());
        client.stop()?;
        server.stop()
    });
}

/// Sends a file through the tunnel, and does something to the user's host whenever another part of it has gone.
fn while_a_file_goes(site: &Site, mut change: impl FnMut(usize) -> Result<()>, times: usize) -> Result<()> {
    const PART: u64 = 16 << 20;
    let sent = || -> Result<u64> {
        let bytes = site.user.sh("cat /sys/class/net/lab/statistics/tx_bytes")?;
        Ok(bytes.trim().parse()?)
    };
    std::thread::scope(|scope| {
        let file = scope.spawn(|| {
            let web: SocketAddr = ([10, 0, 1, 26], 5001).into();
            equal_at_both_ends(&site.user, &site.web, web, BYTES, 7)
        });
        for time in 0..times {
            let from = sent()?;
            eventually(IN_TIME, "another part of the file", || {
                Ok((sent()? > from + PART).then_some(()))
            })?;
            change(time)?;
        }
        file.join()
            .map_err(|_| anyhow::anyhow!("the transfer panicked"))??;
        Ok(())
    })
}

/// Moves the user to another address in the same network.
fn move_to(user: &Host, time: usize) -> Result<()> {
    let (from, to) = (10 + time, 11 + time);
    user.sh(&format!(
        "ip address del 203.0.113.{from}/24 dev eth0; ip address add 203.0.113.{to}/24 dev eth0"
    ))
    .map(drop)
}

#[test]
fn a_file_survives_changes_of_the_clients_own_address() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = connect(&site, &[])?;
        while_a_file_goes(&site, |time| move_to(&site.user, time), 2)
            .with_context(|| client.daemon().log())?;
        // Resumed or logged in anew, it is the same address on the hub, without which the file would not have arrived.
        let log = client.daemon().log();
        ensure!(!log.contains("the address is lost"), "{log}");
        client.stop()?;
        server.stop()
    });
}

/// Another lease in the same network, another network, and back to where it was.
const MOVES: [&str; 3] = [
    "ip address del 203.0.113.10/24 dev eth0; ip address add 203.0.113.11/24 dev eth0
     ip route add default via 203.0.113.1 dev eth0",
    "ip link set eth0 down; ip route add default via 198.51.100.1 dev eth1",
    "ip link set eth0 up; ip address del 203.0.113.11/24 dev eth0; ip address add 203.0.113.10/24 dev eth0
     ip route replace default via 203.0.113.1 dev eth0",
];

#[test]
fn a_tunnel_for_everything_moves_with_this_machine_at_once_and_a_file_goes_on() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        two_ways(lab, &site)?;
        let client = connect_to(&site, "192.0.2.1", &[])?;
        let address = ours::address_of(&site.user, "lab", IN_TIME)?;
        let way = site.user.sh("ip route get 192.0.2.1")?;
        ensure!(
            way.contains("dev lab"),
            "not everything goes into the tunnel: {way}"
        );
        for (number, change) in MOVES.iter().enumerate() {
            site.user.sh(change)?;
            is_back(&site, client.daemon(), Instant::now()).with_context(|| format!("move {number}"))?;
        }
        let change = |time: usize| site.user.sh(MOVES[time]).map(drop);
        while_a_file_goes(&site, change, MOVES.len()).with_context(|| client.daemon().log())?;
        has_still(&site, address)?;
        is_the_first_session(&server, &client)?;
        client.stop()?;
        server.stop()
    });
}

/// A second way from the user to the server's third address, past the first cable.
fn two_ways(lab: &Lab, site: &Site) -> Result<()> {
    lab.cable(
        (&site.nat, "wan2", "198.51.100.1/24"),
        (&site.user, "eth1", "198.51.100.10/24"),
    )?;
    site.nat.sh("ip address add 192.0.2.1/32 dev lo")?;
    site.user
        .sh("ip route add default via 203.0.113.1 dev eth0")
        .map(drop)
}

#[test]
fn another_default_route_is_followed_within_five_seconds() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        two_ways(lab, &site)?;
        let client = connect_to(&site, "192.0.2.1", &[])?;
        // Nothing of this machine tells that the old way is dead; only the new one is news.
        site.nat.sh(
            "nft add table inet cut; nft add chain inet cut in '{ type filter hook input priority -300; }'
             nft add rule inet cut in iifname wan drop",
        )?;
        site.user
            .sh("ip route replace default via 198.51.100.1 dev eth1")?;
        is_back(&site, client.daemon(), Instant::now())?;
        is_the_first_session(&server, &client)?;
        client.stop()?;
        let routes = site.user.sh("ip route")?;
        ensure!(!routes.contains("192.0.2.1"), "a route was left behind: {routes}");
        server.stop()
    });
}

#[test]
fn a_client_that_stood_still_for_longer_than_the_grace_time_logs_in_anew_with_the_same_address() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        set_policy(&site)?;
        let client = connect(&site, &[])?;
        let address = ours::address_of(&site.user, "lab", IN_TIME)?;
        client.daemon().signal(Signal::SIGSTOP)?;
        server.daemon().line_with("session ended", IN_TIME)?;
        client.daemon().signal(Signal::SIGCONT)?;
        is_back(&site, client.daemon(), Instant::now())?;
        has_still(&site, address)?;
        ensure!(sessions(&server) == 2, "{}", server.log());
        client.stop()?;
        server.stop()
    });
}

#[test]
fn a_password_that_changes_meanwhile_is_tried_once_and_then_no_more() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let before = site.user.sh("ip -brief address; ip route")?;
        let client = connect(&site, &[])?;
        let said = client.daemon().line_with("connected: session", IN_TIME)?;
        let name = said.split_whitespace().nth(2).context(said.clone())?.to_owned();
        let change = format!("UserPasswordSet {USER} /PASSWORD:Sakura-1");
        administer(&site.nat, HUB, &[&change])?;
        // A server may end the session of its own accord then.
        let _ = administer(&site.nat, HUB, &[&format!("SessionDisconnect {name}")]);
        let (code, said) = client.refused()?;
        ensure!(
            code == 3 && said.contains("Check --user and the password"),
            "exit {code}: {said}"
        );
        let refusals = server.log().matches("login refused").count();
        ensure!(refusals == 1, "asked {refusals} times:\n{}", server.log());
        let after = site.user.sh("ip -brief address; ip route")?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        server.stop()
    });
}

/// The ports of the user's connections with the server that stand.
fn ports(user: &Host) -> Result<Vec<u16>> {
    const ESTABLISHED: &str = "01";
    let sockets = user.sh("cat /proc/net/tcp")?;
    let mut ports: Vec<u16> = sockets
        .lines()
        .filter_map(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            let is_ours = columns.get(2)?.ends_with(":01BB") && *columns.get(3)? == ESTABLISHED;
            let (_, port) = columns[1].split_once(':')?;
            is_ours.then(|| u16::from_str_radix(port, 16).ok()).flatten()
        })
        .collect();
    ports.sort_unstable();
    Ok(ports)
}

#[test]
fn one_of_several_connections_that_breaks_is_replaced_and_the_others_go_on() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = connect(&site, &["--connections", "3"])?;
        let three = |without: u16| {
            eventually(IN_TIME, "three connections", || {
                let ports = ports(&site.user)?;
                Ok((ports.len() == 3 && !ports.contains(&without)).then_some(ports))
            })
        };
        let before = three(0)?;
        let dead = before[0];
        site.user.sh(&format!(
            "nft add table inet cut; nft add chain inet cut out '{{ type filter hook output priority 0; }}'
             nft add rule inet cut out tcp sport {dead} reject with tcp reset"
        ))?;
        let after = three(dead)?;
        ensure!(
            before[1..].iter().all(|port| after.contains(port)),
            "{before:?} became {after:?}"
        );
        carries(&site)?;
        let log = client.daemon().log();
        ensure!(
            !log.contains("the connection broke") && sessions(&server) == 1,
            "{log}"
        );
        client.stop()?;
        server.stop()
    });
}

#[test]
fn a_stock_servers_session_goes_on_after_a_pulled_cable_and_under_another_address() {
    lab::run_with_stock(|lab, stock| {
        let (site, _server) = Site::with_stock_server(lab, stock)?;
        let client = connect(&site, &["--no-udp"])?;
        let address = ours::address_of(&site.user, "lab", IN_TIME)?;
        cable(&site, false)?;
        // The outage itself.
        std::thread::sleep(Duration::from_secs(6));
        cable(&site, true)?;
        is_back(&site, client.daemon(), Instant::now())?;
        move_to(&site.user, 0)?;
        is_back(&site, client.daemon(), Instant::now())?;
        has_still(&site, address)?;
        client.stop()
    });
}

#[test]
fn a_file_through_a_stock_server_survives_a_change_of_the_clients_own_address() {
    lab::run_with_stock(|lab, stock| {
        let (site, _server) = Site::with_stock_server(lab, stock)?;
        let client = connect(&site, &["--no-udp"])?;
        while_a_file_goes(&site, |time| move_to(&site.user, time), 1)
            .with_context(|| client.daemon().log())?;
        client.stop()
    });
}

#[test]
fn a_stock_server_that_has_forgotten_the_session_gives_the_same_address_again() {
    lab::run_with_stock(|lab, stock| {
        let (site, _server) = Site::with_stock_server(lab, stock)?;
        stock.shape(&site.nat, HUB, &[GRACE])?;
        let client = connect(&site, &["--no-udp"])?;
        let address = ours::address_of(&site.user, "lab", IN_TIME)?;
        cable(&site, false)?;
        client.daemon().line_with("the session is over", IN_TIME)?;
        cable(&site, true)?;
        is_back(&site, client.daemon(), Instant::now())?;
        has_still(&site, address)?;
        client.stop()
    });
}

/// A connection with port 443 of 203.0.113.2 that stands, as the kernel writes it.
const MEMBER: &str = "027100CB:01BB 01";

/// A controller at 203.0.113.1, which hosts nothing itself, and a member at 203.0.113.2, on one network with the user.
fn cluster(lab: &Lab, stock: &Stock) -> Result<([Host; 4], [Daemon; 2])> {
    let hosts = [
        lab.host("switch")?,
        lab.host("controller")?,
        lab.host("member")?,
        lab.host("user")?,
    ];
    let [switch, controller, member, user] = &hosts;
    switch.sh("ip link add br0 type bridge; ip link set br0 up")?;
    for (host, port, address) in [
        (controller, "port1", "203.0.113.1/24"),
        (member, "port2", "203.0.113.2/24"),
        (user, "port3", "203.0.113.10/24"),
    ] {
        lab.cable((switch, port, "192.0.2.254/32"), (host, "eth0", address))?;
        switch.sh(&format!("ip link set {port} master br0"))?;
    }
    let servers = [stock.server(controller)?, stock.server(member)?];
    stock.shape(
        controller,
        "",
        &[
            "ServerPasswordSet Kumo-1",
            // From here on it wants its password.
        ],
    )?;
    let at_controller = |command: &str| -> Result<String> {
        eventually(IN_TIME, command, || {
            let answer = stock.administer(controller, "localhost", &["/PASSWORD:Kumo-1"], command)?;
            Ok(answer.success().ok())
        })
    };
    at_controller("ClusterSettingController /WEIGHT:100 /ONLY:yes")?;
    controller.listens(5555, IN_TIME)?;
    stock.shape(
        member,
        "",
        &["ClusterSettingMember 203.0.113.1:5555 /IP:203.0.113.2 /PORTS:443,5555 /PASSWORD:Kumo-1 /WEIGHT:100"],
    )?;
    eventually(IN_TIME, "a member of the cluster", || {
        let list = at_controller("ClusterMemberList")?;
        Ok(list.contains("|Member").then_some(()))
    })?;
    at_controller(&format!("HubCreateDynamic {HUB} /PASSWORD:none"))?;
    let in_hub = |command: &str| -> Result<()> {
        let hub = format!("/ADMINHUB:{HUB}");
        let options = ["/PASSWORD:Kumo-1", &hub];
        let answer = stock.administer(controller, "localhost", &options, command)?;
        answer.success().with_context(|| command.to_owned()).map(drop)
    };
    in_hub(&format!(
        "UserCreate {USER} /GROUP:none /REALNAME:none /NOTE:none"
    ))?;
    in_hub(&format!("UserPasswordSet {USER} /PASSWORD:{}", ours::PASSWORD))?;
    Ok((hosts, servers))
}

/// `kill -9` for a stock server: what serves is a child, which its parent would start anew.
fn kill_whole(host: &Host, server: Daemon) -> Result<()> {
    let pid = server.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    server.kill();
    host.sh(&format!("kill -9 {children}")).map(drop)
}

#[test]
fn a_cluster_of_the_stock_server_sends_us_to_a_member_and_after_a_loss_the_controller_is_asked_again() {
    lab::run_with_stock(|lab, stock| {
        let ([_switch, _controller, member, user], servers) = cluster(lab, stock)?;
        let client = Client::connect(
            &user,
            "203.0.113.1",
            &["--tap", "lab", "--insecure", "--no-dhcp", "--no-udp", "-v"],
        )?;
        client.daemon().line_with("connected: session", IN_TIME)?;
        let is_at_the_member = || {
            eventually(IN_TIME, "a connection with the member", || {
                Ok(user.sh("cat /proc/net/tcp")?.contains(MEMBER).then_some(()))
            })
        };
        is_at_the_member()?;

        // The member forgets everything; it comes back under the same controller.
        let mark = client.daemon().mark();
        let [controller_daemon, member_daemon] = servers;
        kill_whole(&member, member_daemon)?;
        client
            .daemon()
            .line_after(mark, IN_TIME, "the controller asked again", |line| {
                line.contains("connecting to 203.0.113.1:443")
            })?;
        let member_daemon = stock.server(&member)?;
        client
            .daemon()
            .line_after(mark, IN_TIME, "the next session", |line| {
                line.contains("connected: session")
            })?;
        is_at_the_member()?;
        client.stop()?;
        drop((controller_daemon, member_daemon));
        Ok(())
    });
}

#[test]
fn a_cluster_sends_us_to_a_member_by_way_of_our_proxy() {
    lab::run_with_stock(|lab, stock| {
        let ([switch, _controller, _member, user], _servers) = cluster(lab, stock)?;
        switch.sh("ip address add 203.0.113.9/24 dev br0")?;
        let (gate, controller) = ("203.0.113.9:3128", [203, 0, 113, 1].into());
        let proxy = Proxy::start(&switch, gate.parse()?, controller, None, Manner::Serves)?;
        let by_proxy = format!("http://{gate}");
        let options = [
            "--insecure",
            "--no-dhcp",
            "--connections",
            "2",
            "--proxy",
            &by_proxy,
        ];
        let client = Client::connect(
            &user,
            "203.0.113.1",
            &[&["--tap", "lab", "-v"], &options[..]].concat(),
        )?;
        client.daemon().line_with("connected: session", IN_TIME)?;
        // The controller once, then the member: the login and a further connection.
        let way = ["203.0.113.1:443", "203.0.113.2:443", "203.0.113.2:443"];
        eventually(IN_TIME, "two connections with the member", || {
            Ok((proxy.asked() == way).then_some(()))
        })
        .with_context(|| format!("{:?}\n{}", proxy.asked(), client.daemon().log()))?;
        let sockets = user.sh("cat /proc/net/tcp")?;
        ensure!(
            !sockets.contains(MEMBER),
            "it goes past the proxy as well: {sockets}"
        );
        client.stop()
    });
}
