//! `make bench-admin`: what administration costs with 10,000 users in one hub, on our server and on the stock one.
//!
//! Both start from one configuration file, on a machine of their own, and answer the same calls over the same protocol. Medians; the
//! bounds that ours promises are checked.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{Server, program};
use hubward_tests::process;
use hubward_tests::stock::Stock;
use protocol::config::Folder;
use protocol::password::admin_hash;
use protocol::rpc::method::{CreateUser, DeleteUser, EnumHub, EnumUser, GetConfig, GetUser, SetUser};
use protocol::rpc::user::{AuthType, User};
use protocol::rpc::{HubObject, HubRequest, Nothing};
use transport::admin::AdminClient;
use transport::dial::{Target, dial};
use transport::tls::Trust;

const USERS: usize = 10_000;
const HUB: &str = "BENCH";
const PASSWORD: &str = "bench";
/// Calls of each kind.
const SMALL: usize = 100;
const LARGE: usize = 5;

/// What ours promises.
const START: Duration = Duration::from_secs(2);
const USER_LIST: Duration = Duration::from_secs(1);
const CREATE_USER: Duration = Duration::from_millis(20);

/// One line of the table: what, and how long it took.
type Line = (&'static str, Duration);

fn main() {
    let outcome = if lab::is_inside() { measure() } else { enter() };
    if let Err(error) = outcome {
        eprintln!("bench-admin FAILED: {error:#}");
        std::process::exit(1);
    }
}

/// The same program again, inside of a laboratory.
fn enter() -> Result<()> {
    lab::check()?;
    Stock::unpacked()?;
    let status = lab::enter(&[])?.status()?;
    std::process::exit(status.code().unwrap_or(1));
}

fn measure() -> Result<()> {
    let lab = Lab::open()?;
    let stock = Stock::unpacked()?;
    let file = lab.folder().join("bench.config");
    std::fs::write(&file, configuration())?;
    println!("{USERS} users in one hub; medians of {SMALL} calls, {LARGE} for lists and files\n");
    let ours = of_ours(&lab.host("ours")?, &file)?;
    let theirs = of_stock(&stock, &lab.host("stock")?, &file)?;
    println!("{:<34}{:>12}{:>12}", "", "ours", "stock");
    for (what, took) in &ours {
        let other = theirs.iter().find(|(other, _)| other == what);
        let other = other.map_or_else(|| "-".to_owned(), |(_, took)| shown(*took));
        println!("{what:<34}{:>12}{other:>12}", shown(*took));
    }
    for (what, bound) in [
        ("start", START),
        ("EnumUser", USER_LIST),
        ("CreateUser", CREATE_USER),
    ] {
        let (_, took) = ours
            .iter()
            .find(|(name, _)| *name == what)
            .context("a bound without a number")?;
        ensure!(
            *took < bound,
            "{what} took {}, and may take {}",
            shown(*took),
            shown(bound)
        );
    }
    println!("\nstart, EnumUser and CreateUser are within their bounds (2 s, 1 s, 20 ms)");
    Ok(())
}

fn shown(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1000.0)
}

/// A configuration file of a stock server: one hub, its users without passwords, so that Argon2 is left aside.
fn configuration() -> String {
    let mut server = Folder::new("ServerConfiguration");
    server.set(
        "HashedPassword",
        admin_hash(PASSWORD.as_bytes()).as_bytes().as_slice(),
    );
    server.set("DisableNatTraversal", true);
    let mut hub = Folder::new(HUB);
    hub.set("Online", true);
    let users = hub.folder_mut("SecurityAccountDatabase").folder_mut("UserList");
    // The stock server takes no more than 10,000; the last ones are made by calls.
    for number in 0..USERS - SMALL {
        let user = users.folder_mut(&format!("user{number:05}"));
        user.set("AuthType", 0_u32);
        user.set("RealName", format!("User Number {number}"));
        user.set("CreatedTime", 1_795_406_311_331_u64);
        user.set("UpdatedTime", 1_795_406_311_331_u64);
    }
    let mut root = Folder::new("root");
    root.insert(server);
    root.folder_mut("VirtualHUB").insert(hub);
    root.folder_mut("DDnsClient").set("Disabled", true);
    for (number, port) in [443_u32, 992, 1194, 5555].into_iter().enumerate() {
        let listener = root
            .folder_mut("ListenerList")
            .folder_mut(&format!("Listener{number}"));
        listener.set("Enabled", true);
        listener.set("Port", port);
    }
    root.to_text("# 10,000 users").to_string()
}

fn of_ours(host: &Host, file: &Path) -> Result<Vec<Line>> {
    let import = timed(|| {
        let mut command = host.command(program("vpnserver")?);
        process::run(command.arg("import").arg(file)).map(drop)
    })?;
    let begun = Instant::now();
    let server = Server::start(host, &[])?;
    let start = begun.elapsed();
    let mut lines = vec![("vpnserver import", import), ("start", start)];
    lines.extend(calls(host).context("our server")?);
    server.stop()?;
    Ok(lines)
}

fn of_stock(stock: &Stock, host: &Host, file: &Path) -> Result<Vec<Line>> {
    let place = PathBuf::from("/var/lib/softether/vpn_server.config");
    host.sh(&format!(
        "mkdir -p /var/lib/softether && cp {} {}",
        file.display(),
        place.display()
    ))?;
    let begun = Instant::now();
    let server = stock.server(host)?;
    let mut lines = vec![("start", begun.elapsed())];
    lines.extend(calls(host).context("the stock server")?);
    server.kill();
    Ok(lines)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}

/// The calls, on the network of the server's own machine.
fn calls(host: &Host) -> Result<Vec<Line>> {
    host.within(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let target = Target {
                host: "127.0.0.1".to_owned(),
                port: 443,
            };
            let dialed = dial(&target, &Trust::Insecure, &mut |_| {}).await?;
            let mut client = AdminClient::login(dialed, None, &admin_hash(PASSWORD.as_bytes())).await?;
            ask(&mut client).await
        })
    })?
}

/// The median time of calls that `$call` makes with the number of each.
macro_rules! median {
    ($times:expr, $number:ident => $call:expr) => {{
        let mut took = Vec::with_capacity($times);
        for $number in 0..$times {
            let begun = Instant::now();
            $call.await?;
            took.push(begun.elapsed());
        }
        took.sort();
        took[took.len() / 2]
    }};
}

async fn ask(client: &mut AdminClient) -> Result<Vec<Line>> {
    let user = |number: usize| User {
        hub_name: HUB.to_owned(),
        name: format!("new{number:05}"),
        auth_type: AuthType::Anonymous,
        ..User::default()
    };
    let object = |name: String| HubObject {
        hub_name: HUB.to_owned(),
        name,
    };
    let hub = HubRequest {
        hub_name: HUB.to_owned(),
    };
    let listed = client.call::<EnumUser>(&hub).await?.users.len();
    ensure!(listed == USERS - SMALL, "the list has {listed} users");
    Ok(vec![
        ("EnumUser", median!(LARGE, _n => client.call::<EnumUser>(&hub))),
        (
            "EnumHub",
            median!(LARGE, _n => client.call::<EnumHub>(&Nothing {})),
        ),
        (
            "GetUser",
            median!(SMALL, n => client.call::<GetUser>(&object(format!("user{n:05}")))),
        ),
        (
            "CreateUser",
            median!(SMALL, n => client.call::<CreateUser>(&user(n))),
        ),
        ("SetUser", median!(SMALL, n => client.call::<SetUser>(&user(n)))),
        (
            "DeleteUser",
            median!(SMALL, n => client.call::<DeleteUser>(&object(format!("new{n:05}")))),
        ),
        (
            "GetConfig",
            median!(LARGE, _n => client.call::<GetConfig>(&Nothing {})),
        ),
    ])
}
