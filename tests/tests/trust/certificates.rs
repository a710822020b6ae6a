//! Certificates with a fault each, and good ones, before a real server.

use anyhow::{Context, Result, ensure};
use hubward_tests::interceptor::Interceptor;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, Client, PASSWORD, password_file};
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::typist::{CTRL_C, Typist};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

use super::room::{AnyServer, connect, gets_in, refused_with, with_password};

/// The name that the good certificate is for.
const NAME: &str = "vpn.lab";
/// The authority, as a file on every host.
const CA: &str = "/run/lab/ca.pem";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Result<Authority> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name = named(name);
    Ok(CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?)
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn server(name: &str) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(vec![name.to_owned()])?;
    parameters.distinguished_name = named(name);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(parameters)
}

/// Shows these certificates on a port of the NAT instance, in front of the real server.
fn shown_on(site: &Site, port: u16, chain: &[Certificate], key: &KeyPair) -> Result<()> {
    let listen = format!("{OUTSIDE}:{port}").parse()?;
    Interceptor::showing(&site.nat, listen, "127.0.0.1:443".parse()?, chain, key).map(drop)
}

fn site(lab: &Lab) -> Result<(Site, AnyServer, Authority)> {
    let (site, server) = AnyServer::ours(lab)?;
    site.user
        .sh(&format!("echo '{OUTSIDE} {NAME} other.lab' >> /etc/hosts"))?;
    let authority = authority("Authority of the lab")?;
    std::fs::write(CA, authority.pem())?;
    Ok((site, server, authority))
}

#[test]
fn every_fault_of_a_certificate_is_named_and_says_how_to_mend_it() {
    lab::run(|lab| {
        let (site, _server, authority) = site(lab)?;
        let stranger = self::authority("Authority of nobody")?;
        let key = KeyPair::generate()?;
        let mut expired = server(NAME)?;
        expired.not_before = date_time_ymd(2019, 1, 1);
        expired.not_after = date_time_ymd(2020, 2, 3);
        let mut early = server(NAME)?;
        early.not_before = date_time_ymd(2090, 1, 1);
        early.not_after = date_time_ymd(2091, 1, 1);
        let cases = [
            (
                8001,
                server("else.where")?.signed_by(&key, &authority)?,
                "wrong_name",
                "It is for else.where",
            ),
            (
                8002,
                expired.signed_by(&key, &authority)?,
                "expired_certificate",
                "Its last day was 2020-02-03",
            ),
            (
                8003,
                early.signed_by(&key, &authority)?,
                "certificate_not_yet_valid",
                "clock",
            ),
            (
                8004,
                server(NAME)?.signed_by(&key, &stranger)?,
                "untrusted_certificate",
                "no known authority",
            ),
            (
                8005,
                server(NAME)?.self_signed(&key)?,
                "untrusted_certificate",
                "--pin sha256:",
            ),
        ];
        for (port, certificate, word, words) in cases {
            shown_on(&site, port, &[certificate], &key)?;
            let server = format!("{NAME}:{port}");
            let said = with_password(&site.user, &server, &["--json", "--ca", CA])?;
            refused_with(said, word, words).with_context(|| format!("at {port}"))?;
        }
        Ok(())
    });
}

#[test]
fn a_chain_to_a_named_authority_is_believed_under_its_name_alone() {
    lab::run(|lab| {
        let (site, _server, authority) = site(lab)?;
        let mut middle = CertificateParams::new(Vec::new())?;
        middle.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        middle.distinguished_name = named("Authority in the middle");
        let middle = CertifiedIssuer::signed_by(middle, KeyPair::generate()?, &authority)?;
        let key = KeyPair::generate()?;
        let chain = [
            server(NAME)?.signed_by(&key, &middle)?,
            AsRef::<Certificate>::as_ref(&middle).clone(),
        ];
        shown_on(&site, 8001, &chain, &key)?;
        gets_in(with_password(&site.user, "vpn.lab:8001", &["--ca", CA])?)?;
        let other = with_password(&site.user, "other.lab:8001", &["--json", "--ca", CA])?;
        refused_with(other, "wrong_name", "vpn.lab")?;
        let without = with_password(&site.user, "vpn.lab:8001", &["--json"])?;
        refused_with(without, "untrusted_certificate", "no known authority")
    });
}

#[test]
fn a_server_that_the_system_vouches_for_is_never_asked_about_and_may_renew_its_certificate() {
    lab::run(|lab| {
        let (site, _server, authority) = site(lab)?;
        for port in [8001, 8002] {
            let key = KeyPair::generate()?;
            shown_on(&site, port, &[server(NAME)?.signed_by(&key, &authority)?], &key)?;
        }
        let file = password_file(PASSWORD)?;
        let file = file.to_str().context("path")?;
        let mut command = connect(&site.user, "vpn.lab:8001", &["--password-file", file])?;
        let mut typist = Typist::start(command.env("SSL_CERT_FILE", CA))?;
        typist.wait_for("connected: session")?;
        typist.answer("", CTRL_C)?;
        let (code, screen) = typist.end()?;
        ensure!(code == 0 && !screen.contains("yes/no"), "exit {code}:\n{screen}");

        // Another certificate was remembered: what the system vouches for goes all the same.
        let pin = format!("sha256:{}", "0".repeat(64));
        site.user.sh(&format!(
            "mkdir -p /etc/hubward/client; echo 'vpn.lab:8002 {pin} 2026-01-01' > /etc/hubward/client/known_servers"
        ))?;
        let mut command = connect(&site.user, "vpn.lab:8002", &["--password-file", file])?;
        let mut typist = Typist::start(command.env("SSL_CERT_FILE", CA))?;
        typist.wait_for("connected: session")?;
        typist.answer("", CTRL_C)?;
        ensure!(typist.end()?.0 == 0, "it did not end well");
        let refused = Client::connect(&site.user, "vpn.lab:8002", &["--rootless", "--json"])?;
        refused_with(refused, "changed_certificate", &pin)
    });
}

#[test]
fn the_password_reaches_nobody_whose_certificate_is_not_believed() {
    lab::run(|lab| {
        let (site, _server, authority) = site(lab)?;
        let key = KeyPair::generate()?;
        let wrong = server("else.where")?.signed_by(&key, &authority)?;
        let listen = format!("{OUTSIDE}:8001").parse()?;
        let between = Interceptor::showing(&site.nat, listen, "127.0.0.1:443".parse()?, &[wrong], &key)?;
        let client = with_password(&site.user, "vpn.lab:8001", &["--json", "--ca", CA])?;
        refused_with(client, "wrong_name", "else.where")?;
        let heard: Vec<u8> = between
            .heard()
            .iter()
            .flat_map(|said| said.from_client())
            .collect();
        ensure!(heard.is_empty(), "it said {} bytes", heard.len());
        ensure!(
            !ours::administer(&site.nat, ours::HUB, &["SessionList"])?.contains("SID-TSUMURA"),
            "it got in"
        );
        Ok(())
    });
}
