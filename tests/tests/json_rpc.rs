//! The JSON interface of our server, as SoftEther's own client for it uses it.

use anyhow::{Context, Result, ensure};
use hubward_tests::lab;
use hubward_tests::ours::{Server, administer, vpncmd};
use hubward_tests::process::answer;
use hubward_tests::site::Site;
use hubward_tests::sources::top;

const PASSWORD: &str = "for-vpnrpc";

#[test]
fn softethers_json_client_calls_every_method() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let server = Server::start(&site.nat, &[])?;
        administer(&site.nat, "", &[&format!("ServerPasswordSet {PASSWORD}")])?;
        let modules = lab::target()?.join("js/node_modules");
        ensure!(
            modules.join("vpnrpc").exists(),
            "vpnrpc is not in {}: run `tests/prepare test`",
            modules.display()
        );
        let (certificate, key) = ("/run/lab/rpc.crt", "/run/lab/rpc.key");
        let make = [
            "/TOOLS",
            "/CMD",
            "MakeCert2048",
            "/CN:vpn.example",
            "/O:none",
            "/OU:none",
            "/C:none",
            "/ST:none",
            "/L:none",
            "/SERIAL:none",
            "/EXPIRES:0",
            &format!("/SAVECERT:{certificate}"),
            &format!("/SAVEKEY:{key}"),
        ];
        vpncmd(&site.nat, &make)?.success()?;
        let mut client = site.nat.command("node");
        client
            .arg(top().join("tests/js/every_method.js"))
            .args(["127.0.0.1", "443", PASSWORD, certificate, key])
            .env("NODE_PATH", &modules);
        let said = answer(&mut client)?;
        println!("{}", said.stdout);
        said.success().context("the client is not content")?;
        server.stop()
    });
}

#[test]
fn curl_is_served_as_scripts_use_it() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let server = Server::start(&site.nat, &[])?;
        administer(
            &site.nat,
            "",
            &["ServerPasswordSet script", "HubCreate lab /PASSWORD:mine"],
        )?;
        let curl = |arguments: &str| -> Result<String> {
            site.nat.sh(&format!("curl -sk --max-time 20 {arguments}"))
        };
        // A body that is long enough for curl to ask first whether it may send it.
        let note = "n".repeat(1_200_000);
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":"long","method":"GetHub","params":{{"HubName_str":"lab","Note":"{note}"}}}}"#
        );
        let body = "/run/lab/body.json";
        std::fs::write(body, call)?;
        let answer = curl(&format!(
            "-H 'X-VPNADMIN-PASSWORD: script' https://127.0.0.1/api/ --data-binary @{body}"
        ))?;
        ensure!(
            answer.contains("\"id\": \"long\"") && answer.contains("\"HubName_str\": \"lab\""),
            "{answer}"
        );
        let answer = curl("-u lab:mine 'https://127.0.0.1/api/EnumUser?HubName_str=LAB'")?;
        ensure!(answer.contains("\"UserList\": []"), "{answer}");
        let answer = curl("-u lab:wrong -w '%{http_code}' -o /dev/null https://127.0.0.1/api/")?;
        ensure!(answer == "401", "{answer}");
        let page = curl("-u administrator:script https://127.0.0.1/api/")?;
        ensure!(page.contains("<h2>CreateUser</h2>"), "{page}");
        server.stop()
    });
}
