//! The stock software against itself: what must hold for the other tests to mean anything.

use std::time::Duration;

use hubward_tests::lab;
use hubward_tests::site::Site;
use hubward_tests::stock::{Account, Client, Proof};

#[test]
fn stock_client_fetches_the_page_through_the_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let site = Site::new(lab)?;
        let _server = stock.server(&site.nat)?;
        let administer = |options: &[&str], command: &str| {
            stock
                .administer(&site.nat, "localhost:443", options, command)?
                .success()
        };
        administer(&[], "HubCreate mikalab /PASSWORD:none")?;
        administer(&["/ADMINHUB:mikalab"], "SecureNatEnable")?;
        administer(
            &["/ADMINHUB:mikalab"],
            "UserCreate tsumura /GROUP:none /REALNAME:none /NOTE:none",
        )?;
        administer(
            &["/ADMINHUB:mikalab"],
            "UserPasswordSet tsumura /PASSWORD:microsoft",
        )?;

        let client = stock.client(&site.user)?;
        let account = Account::new(
            "203.0.113.1:443",
            "mikalab",
            "tsumura",
            Proof::Standard("microsoft"),
        );
        client.connect(&site.user, &account)?;
        client.established(&site.user, Duration::from_secs(20))?;
        let lease = stock.lease(&site.user, Client::DEVICE)?;
        assert_eq!(lease.router, Some([192, 168, 30, 1].into()));
        site.user_sees_the_private_page()
    });
}
