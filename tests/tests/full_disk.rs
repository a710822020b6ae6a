//! A disk that is full below a running server: what cannot be kept is refused, and what runs goes on.

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{self, Client, HUB, Server, USER, address_of, administer, vpncmd};
use hubward_tests::process::{Answer, IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};

/// A disk of its own for the server's state.
const DISK: &str = "mkdir -p /var/lib/hubward; mount -t tmpfs -o size=32m,mode=0700 tmpfs /var/lib/hubward";

/// Takes all the room there is, to the last byte.
const FILL: &str = "cat /dev/zero >/var/lib/hubward/filler 2>/dev/null || true";

fn create(host: &Host, user: &str) -> Result<Answer> {
    let hub = format!("/ADMINHUB:{HUB}");
    let command = [
        "/CMD",
        "UserCreate",
        user,
        "/GROUP:none",
        "/REALNAME:none",
        "/NOTE:none",
    ];
    vpncmd(host, &[&["localhost", "/SERVER", &hub][..], &command].concat())
}

#[test]
fn changes_are_refused_while_the_disk_is_full_and_the_tunnel_goes_on() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        site.nat.sh(DISK)?;
        let server = Server::start(&site.nat, &[])?;
        ours::set_up(&site.nat)?;
        let client = Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure"])?;
        address_of(&site.user, "lab", IN_TIME).with_context(|| client.daemon().log())?;
        eventually(IN_TIME, "the private page", || {
            Ok(site.user_sees_the_private_page().ok())
        })?;

        site.nat.sh(FILL)?;
        let mark = server.daemon().mark();
        // What was set aside before may be enough for a few.
        let mut made = vec![USER.to_owned()];
        let refused = loop {
            let user = format!("user{}", made.len());
            let answer = create(&site.nat, &user)?;
            if answer.code != 0 {
                break answer;
            }
            made.push(user);
            ensure!(made.len() < 1000, "a full disk takes everything");
            site.nat.sh(FILL)?;
        };
        ensure!(refused.code == 23, "{refused:?}");
        let full = |line: &str| line.contains("full") || line.contains("No space left");
        server.daemon().line_after(mark, IN_TIME, "the reason", full)?;
        // Nothing of it is there, and what was there can be read.
        let users = administer(&site.nat, HUB, &["UserList"])?;
        let listed = |user: &String| {
            users
                .lines()
                .any(|line| line.split('|').next_back() == Some(user))
        };
        ensure!(made.iter().all(listed), "{made:?} are not all of\n{users}");
        ensure!(!listed(&format!("user{}", made.len())), "{users}");
        for _ in 0..20 {
            site.user_sees_the_private_page()?;
        }

        site.nat.sh("rm /var/lib/hubward/filler")?;
        create(&site.nat, "later")?.success()?;
        site.user_sees_the_private_page()?;
        client.stop()?;
        server.stop()
    });
}
