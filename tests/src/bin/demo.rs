//! `make demo`: the story of a NAT instance, on one machine, in namespaces.
//!
//! A remote user reaches a private web server through vpnserver, vpnclient and vpncmd, and then the stock client does.
//! Every step is measured and checked; the first that fails ends the story with its place and the server's log.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, Client, HUB, PASSWORD, Server, USER};
use hubward_tests::page::Page;
use hubward_tests::process;
use hubward_tests::stock::{self, Account, Proof, Stock};
use hubward_tests::story::{Story, human};

const MAP: &str = "
  user                  nat                                    web
  203.0.113.10 ──────── 203.0.113.1 │ 10.0.1.1 ─────────────── 10.0.1.26
        the internet                         a private subnet
";

/// Why the stock client cannot be shown, carried into the laboratory.
const NO_STOCK: &str = "HUBWARD_NO_STOCK";

const PRIVATE_PAGE: &str = "http://10.0.1.26/";
const PUBLIC_PAGE: &str = "http://203.0.113.1/";

fn main() {
    let told = match std::env::args().nth(1).as_deref() {
        Some("--unpack") => Stock::unpacked().map(drop),
        Some(other) => Err(anyhow::anyhow!(
            "{other} is not an option; there is only --unpack"
        )),
        None if lab::is_inside() => tell(),
        None => enter(),
    };
    if let Err(error) = told {
        eprintln!("\nthe demo FAILED: {error:#}");
        std::process::exit(1);
    }
}

/// Out here: what needs the machine's network or its owner. Then the same program again, inside.
fn enter() -> Result<()> {
    lab::check()?;
    let mut command = lab::enter(&[])?;
    if let Err(error) = Stock::unpacked() {
        command.env(NO_STOCK, format!("{error:#}"));
    }
    let status = command.status()?;
    // What failed inside has said so.
    std::process::exit(status.code().unwrap_or(1));
}

fn tell() -> Result<()> {
    let mut story = Story::new("Hubward: a remote user reaches a private web server");
    story.say(MAP);
    let begun = Instant::now();
    let proven = play(&mut story).with_context(|| story.place())?;
    story.end(&format!("{proven} All of it took {}.", human(begun.elapsed())));
    Ok(())
}

/// The hosts of the story.
struct Stage {
    user: Host,
    nat: Host,
    web: Host,
}

fn play(story: &mut Story) -> Result<String> {
    let lab = Lab::open()?;
    let stage = Stage {
        user: lab.host("user")?,
        nat: lab.host("nat")?,
        web: lab.host("web")?,
    };
    let page = build_network(story, &lab, &stage)?;
    let before = residue(&stage.nat)?;

    story.step("The NAT instance starts the server");
    story.show(&stage.nat, "vpnserver run");
    let begun = Instant::now();
    let server = Server::start(&stage.nat, &[])?;
    story.done("ready on TCP 443, 992, 1194 and 5555", begun.elapsed());

    let visits = (|| -> Result<_> {
        administer(story, &stage)?;
        publish(story, &stage)?;
        let ours = our_client(story, &stage)?;
        let user_mode = without_privileges(story, &stage)?;
        Ok((ours, user_mode, stock_client(story, &stage, &page)?))
    })();
    let (ours, user_mode, stock) =
        visits.inspect_err(|_| eprintln!("\nvpnserver said:\n{}", server.log()))?;

    story.step("The server stops, leaves the machine as it was, and its log has told the story");
    story.show(&stage.nat, "systemctl stop vpnserver   # here: SIGTERM");
    let begun = Instant::now();
    let log = server.stop_and_log()?;
    let after = residue(&stage.nat)?;
    ensure!(
        before == after,
        "devices, rules or settings were left behind:\nbefore:\n{before}\nafter:\n{after}"
    );
    story.done("no device, nft table or setting of it is left", begun.elapsed());
    story.quote(&sessions_in(&log));

    Ok(match stock {
        Ok(took) => format!(
            "Proven: the private page is out of reach without the VPN, and came through it by vpnclient in {} with SecureNAT \
             in kernel mode and in {} in user mode, and by the stock SoftEther client in {}, counted from starting to connect.",
            human(ours),
            human(user_mode),
            human(took)
        ),
        Err(reason) => format!(
            "Proven: the private page is out of reach without the VPN, and came through it by vpnclient in {}. \
             With SecureNAT in user mode it took {}. Not shown: the stock client ({reason}).",
            human(ours),
            human(user_mode)
        ),
    })
}

fn build_network(story: &mut Story, lab: &Lab, stage: &Stage) -> Result<Page> {
    story.step("Three hosts, as network namespaces; the private page is out of the user's reach");
    lab.cable(
        (&stage.nat, "wan", "203.0.113.1/24"),
        (&stage.user, "eth0", "203.0.113.10/24"),
    )?;
    lab.cable(
        (&stage.nat, "lan", "10.0.1.1/24"),
        (&stage.web, "eth0", "10.0.1.26/24"),
    )?;
    // As a cloud subnet's route table does for its NAT instance.
    stage.web.sh("ip route add default via 10.0.1.1")?;
    let page = Page::new("Hello from the private subnet: this page is at 10.0.1.26 and nowhere else.\n");
    page.serve(&stage.web)?;
    story.quote(&story.sh(&stage.nat, "ip -brief -4 address")?);
    let (answer, took) = story.answer(&stage.user, &curl(), &["-sS", "-m", "2", PRIVATE_PAGE])?;
    ensure!(answer.code != 0, "the private page was reachable without a VPN");
    story.quote(&answer.stderr);
    story.done("refused, as it should be", took);
    Ok(page)
}

fn administer(story: &mut Story, stage: &Stage) -> Result<()> {
    story.step("An administrator shapes the hub, through the local socket: no network administration before a password");
    let vpncmd = ours::program("vpncmd")?;
    let run = |hub: &str, command: &str| -> Result<String> {
        let admin_hub = format!("/ADMINHUB:{hub}");
        let mut arguments = vec!["localhost", "/SERVER"];
        arguments.extend((!hub.is_empty()).then_some(admin_hub.as_str()));
        arguments.push("/CMD");
        arguments.extend(command.split_whitespace());
        story.run(&stage.nat, &vpncmd, &arguments)
    };
    run("", &format!("HubCreate {HUB} /PASSWORD:none"))?;
    run(
        HUB,
        &format!("UserCreate {USER} /GROUP:none /REALNAME:none /NOTE:none"),
    )?;
    run(HUB, &format!("UserPasswordSet {USER} /PASSWORD:{PASSWORD}"))?;
    run("", &format!("BridgeCreate {HUB} /DEVICE:{HUB} /TAP:yes"))?;
    run(HUB, "SecureNatEnable")?;
    run(
        HUB,
        "DhcpSet /START:192.168.30.10 /END:192.168.30.200 /MASK:255.255.255.0 /EXPIRE:7200 /GW:none /DNS:none \
         /DNS2:none /DOMAIN:none /LOG:yes /PUSHROUTE:10.0.1.0/255.255.255.0/192.168.30.1",
    )?;
    run(HUB, "DnatAdd web /PROTO:tcp /DPORT:80 /TO:10.0.1.26:80")?;
    story.quote(&table(&run(HUB, "DnatList")?));
    story.quote(&story.sh(&stage.nat, &format!("ip -brief link show tap_{HUB}"))?);
    Ok(())
}

fn publish(story: &mut Story, stage: &Stage) -> Result<()> {
    story.step("The published host: anybody may see the private page at the NAT instance's own address");
    get(story, &stage.user, PUBLIC_PAGE)?;
    Ok(())
}

fn our_client(story: &mut Story, stage: &Stage) -> Result<Duration> {
    story.step("The user connects with vpnclient");
    let user = &stage.user;
    let connect =
        format!("vpnclient connect 203.0.113.1 --hub {HUB} --user {USER} --password-file ./password");
    story.show(user, &connect);
    let (code, said) = Client::connect(user, "203.0.113.1", &[])?.refused()?;
    ensure!(code != 0, "vpnclient believed a server that it cannot know");
    story.quote(&said);
    let pin = said.split_whitespace().find(|word| word.starts_with("sha256:"));
    let pin = pin
        .context("vpnclient's refusal names no pin")?
        .trim_end_matches(['.', ',', ')', '\'', '"'])
        .to_owned();
    story.say(
        "An unknown server is refused. The user compares the pin with what the administrator told them:",
    );

    story.show(user, &format!("{connect} --pin {pin}"));
    let begun = Instant::now();
    let client = Client::connect(user, "203.0.113.1", &["--pin", &pin])?;
    let address = process::eventually(Duration::from_secs(20), "a lease for vpnclient", || {
        let routes = user.sh("ip -4 route show table all 10.0.1.0/24")?;
        Ok((!routes.is_empty()).then_some(routes))
    })
    .with_context(|| client.daemon().log())?;
    story.quote(&client.daemon().log());
    story.done("connected", begun.elapsed());
    story.show(user, "ip -4 route");
    story.quote(&user.sh("ip -4 route")?);
    ensure!(
        address.contains("192.168.30.1"),
        "the pushed route reads {address:?}"
    );
    get(story, user, PRIVATE_PAGE)?;
    let took = begun.elapsed();
    secure_nat_is_in(story, stage, "kernel")?;

    let vpncmd = ours::program("vpncmd")?;
    for command in ["SessionList", "DhcpTable"] {
        let arguments = [
            "localhost",
            "/SERVER",
            &format!("/ADMINHUB:{HUB}"),
            "/CMD",
            command,
        ];
        story.quote(&table(&story.run(&stage.nat, &vpncmd, &arguments)?));
    }
    story.show(user, "^C");
    let begun = Instant::now();
    client.stop()?;
    let left = user.sh("ip -4 route show table all 10.0.1.0/24")?;
    ensure!(left.is_empty(), "vpnclient left a route behind: {left}");
    story.done("disconnected; routes and device are gone", begun.elapsed());
    Ok(took)
}

/// The same page by the other way: no device, no rule, no privilege; the server's own sockets.
fn without_privileges(story: &mut Story, stage: &Stage) -> Result<Duration> {
    story
        .step("The hub's administrator takes SecureNAT from the kernel: user mode needs no privilege at all");
    let (user, hub) = (&stage.user, format!("/ADMINHUB:{HUB}"));
    let vpncmd = ours::program("vpncmd")?;
    for command in [
        &["ExtOptionSet", "DisableKernelModeSecureNAT", "/VALUE:1"][..],
        &["SecureNatStatusGet"],
    ] {
        let arguments = [&["localhost", "/SERVER", &hub, "/CMD"][..], command].concat();
        story.run(&stage.nat, &vpncmd, &arguments)?;
    }
    let begun = Instant::now();
    let client = Client::connect(user, "203.0.113.1", &["--insecure"])?;
    process::eventually(Duration::from_secs(20), "a lease for vpnclient", || {
        let routes = user.sh("ip -4 route show table all 10.0.1.0/24")?;
        Ok((!routes.is_empty()).then_some(()))
    })
    .with_context(|| client.daemon().log())?;
    get(story, user, PRIVATE_PAGE)?;
    let took = begun.elapsed();
    secure_nat_is_in(story, stage, "user")?;
    client.stop()?;
    Ok(took)
}

/// Says in which mode SecureNAT works, and checks that it is the one.
fn secure_nat_is_in(story: &Story, stage: &Stage, mode: &str) -> Result<()> {
    let said = ours::administer(&stage.nat, HUB, &["SecureNatStatusGet"])?;
    let active =
        stock::item(&said, "Kernel-mode NAT is Active").context("SecureNatStatusGet tells no mode")?;
    ensure!(
        (active == "Yes") == (mode == "kernel"),
        "SecureNAT should be in {mode} mode:\n{said}"
    );
    story.say(&format!("SecureNAT worked in {mode} mode."));
    Ok(())
}

fn stock_client(story: &mut Story, stage: &Stage, page: &Page) -> Result<Result<Duration, String>> {
    if let Ok(reason) = std::env::var(NO_STOCK) {
        return Ok(Err(reason));
    }
    story.step("The same with the stock SoftEther client, as the distribution ships it");
    let user = &stage.user;
    let stock = Stock::unpacked()?;
    let client = stock.client(user)?;
    let account = Account::new("203.0.113.1:443", HUB, USER, Proof::Plain(PASSWORD));
    for command in account.commands() {
        story.show(user, &format!("vpncmd localhost /CLIENT /CMD {command}"));
    }
    let begun = Instant::now();
    client.connect(user, &account)?;
    client.established(user, Duration::from_secs(30))?;
    story.done("session established", begun.elapsed());
    let lease = stock.lease(user, stock::Client::DEVICE)?;
    story.show(user, &format!("udhcpc -i {}", stock::Client::DEVICE));
    story.done(
        &format!("address {}/{}", lease.address, lease.prefix),
        begun.elapsed(),
    );
    get(story, user, PRIVATE_PAGE)?;
    let took = begun.elapsed();
    page.is_seen_from(user, "10.0.1.26:80".parse()?)?;
    client.disconnect(user)?;
    client.kill();
    Ok(Ok(took))
}

/// Fetches a page the way the user would, and checks that it is the private one.
fn get(story: &Story, host: &Host, address: &str) -> Result<()> {
    let (answer, took) = story.answer(host, &curl(), &["-sS", "-m", "10", address])?;
    if answer.code != 0 {
        bail!("curl {address}: {}", answer.stderr.trim());
    }
    story.quote(&answer.stdout);
    ensure!(
        answer.stdout.contains("10.0.1.26 and nowhere else"),
        "this is another page: {:?}",
        answer.stdout
    );
    story.done("the private page", took);
    Ok(())
}

fn curl() -> PathBuf {
    "curl".into()
}

/// What a server could leave behind on a machine.
fn residue(host: &Host) -> Result<String> {
    host.sh("ip -brief link | awk '{print $1}' | sort; nft list tables; cat /proc/sys/net/ipv4/ip_forward")
}

/// The table in what vpncmd printed, without banner and prompt.
fn table(said: &str) -> String {
    let lines = said
        .lines()
        .filter(|line| line.contains('|') || line.starts_with('-') || line.contains("-+-"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The lines of a server's log that tell of a session: who came, from where, with which address, how it ended.
fn sessions_in(log: &str) -> String {
    let told = |line: &&str| {
        ["session", "lease", "login"]
            .iter()
            .any(|word| line.to_lowercase().contains(word))
    };
    log.lines().filter(told).collect::<Vec<_>>().join("\n")
}
