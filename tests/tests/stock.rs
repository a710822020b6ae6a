//! The stock software against itself: what must hold for the other tests to mean anything.

use std::time::Duration;

use hubward_tests::lab;
use hubward_tests::page::Page;
use hubward_tests::stock::{Account, Client, Proof};

#[test]
fn stock_client_fetches_a_page_through_the_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let server = lab.host("server")?;
        let user = lab.host("user")?;
        lab.cable(
            (&server, "wan", "203.0.113.1/24"),
            (&user, "wan", "203.0.113.10/24"),
        )?;
        let inside = lab.host("inside")?;
        lab.cable((&server, "lan", "10.0.1.1/24"), (&inside, "lan", "10.0.1.26/24"))?;
        inside.sh("ip route add default via 10.0.1.1")?;
        let page = Page::serve(&inside, "the private page")?;

        let daemon = stock.server(&server)?;
        stock
            .administer(
                &server,
                "localhost:443",
                &[],
                "HubCreate mikalab /PASSWORD:hubpass",
            )?
            .success()?;
        for command in [
            "SecureNatEnable",
            "UserCreate tsumura /GROUP:none /REALNAME:none /NOTE:none",
            "UserPasswordSet tsumura /PASSWORD:microsoft",
        ] {
            stock
                .administer(&server, "localhost:443", &["/ADMINHUB:mikalab"], command)?
                .success()?;
        }

        let client = stock.client(&user)?;
        let account = Account::new(
            "203.0.113.1:443",
            "mikalab",
            "tsumura",
            Proof::Standard("microsoft"),
        );
        client.connect(&user, &account)?;
        client.established(&user, Duration::from_secs(20))?;
        let lease = stock.lease(&user, Client::DEVICE)?;
        assert_eq!(lease.router, Some([192, 168, 30, 1].into()));
        page.is_seen_from(&user, "10.0.1.26:80".parse()?)?;
        drop(daemon);
        Ok(())
    });
}
