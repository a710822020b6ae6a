//! The proxy on the way out, as options.

use std::path::PathBuf;

use clap::Args;
use transport::dial::Target;
use transport::proxy::{Header, Kind, Login, Proxy};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::password::Wanted;
use crate::report::{Event, Reporter};

/// A proxy on the way to the server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Through a proxy")]
pub(super) struct ProxyArgs {
    /// Reach the server through this proxy: http://[USER@]HOST[:PORT], socks5://... or socks4://...; `env` takes it from
    /// `https_proxy` or `all_proxy` in the environment, minus `no_proxy`, which nothing else does.
    #[arg(long, value_name = "URL|env")]
    proxy: Option<String>,
    /// Read the password of the USER in --proxy from this file, or from standard input for `-`; without it a service credential
    /// `vpn-proxy-password` is used, or the terminal asks.
    #[arg(long = "proxy-auth-file", value_name = "FILE", requires = "proxy")]
    auth_file: Option<PathBuf>,
    /// A header for an HTTP proxy, NAME: VALUE; repeat it for more. Other users of this machine can read it here.
    #[arg(long = "proxy-header", value_name = "HEADER", requires = "proxy")]
    headers: Vec<Header>,
}

impl ProxyArgs {
    /// Whether there is one.
    pub(super) fn is_given(&self) -> bool {
        self.proxy.is_some()
    }

    /// The proxy on the way to `target`, if there is one; asks for its password where it must.
    pub(super) fn proxy(&self, target: &Target, reporter: &Reporter) -> Result<Option<Proxy>, Failure> {
        let Some(text) = &self.proxy else {
            return Ok(None);
        };
        let proxy = match text.as_str() {
            "env" => from_environment(|name| std::env::var(name).ok(), target)?,
            text => Some(from_option(text)?),
        };
        let Some(mut proxy) = proxy else {
            return Ok(None);
        };
        if !self.headers.is_empty() && proxy.kind != Kind::Http {
            return Err(Failure::Usage("--proxy-header is for HTTP proxies".to_owned()));
        }
        proxy.headers.clone_from(&self.headers);
        let server = proxy.server.clone();
        if let Some(login) = &mut proxy.login
            && login.password.is_empty()
            && proxy.kind != Kind::Socks4
        {
            login.password = self.password(login, &server, reporter)?;
        }
        Ok(Some(proxy))
    }

    fn password(
        &self,
        login: &Login,
        proxy: &Target,
        reporter: &Reporter,
    ) -> Result<Zeroizing<String>, Failure> {
        let given = Wanted {
            file: self.auth_file.as_deref(),
            option: "--proxy-auth-file",
            credential: "vpn-proxy-password",
            prompt: &format!("Password of {} at the proxy {proxy}: ", login.user),
        }
        .obtain()?;
        if let Some(note) = given.note {
            reporter.show(&Event::Note(note));
        }
        Ok(given.text)
    }
}

fn from_option(text: &str) -> Result<Proxy, Failure> {
    let proxy: Proxy = text
        .parse()
        .map_err(|e| Failure::Usage(format!("--proxy: {e}")))?;
    if proxy
        .login
        .as_ref()
        .is_some_and(|login| !login.password.is_empty())
    {
        return Err(Failure::Usage(
            "a password in --proxy could be read by every user of this machine; give USER alone, and --proxy-auth-file"
                .to_owned(),
        ));
    }
    Ok(proxy)
}

/// The proxy that other programs of this user take. Only what is asked for by name is taken from an environment: who starts a
/// VPN for the whole machine should not be led elsewhere by a variable that was left in a shell.
fn from_environment(
    variable: impl Fn(&str) -> Option<String>,
    target: &Target,
) -> Result<Option<Proxy>, Failure> {
    let either = |lower: &str| {
        let found = variable(lower).or_else(|| variable(&lower.to_ascii_uppercase()));
        found.filter(|text| !text.is_empty())
    };
    let found = ["https_proxy", "all_proxy"]
        .into_iter()
        .find_map(|name| Some((name, either(name)?)));
    let Some((name, text)) = found else {
        return Err(Failure::Usage(
            "--proxy env: neither https_proxy nor all_proxy is set; leave --proxy out, or name the proxy"
                .to_owned(),
        ));
    };
    if either("no_proxy").is_some_and(|list| is_exempt(&target.host, &list)) {
        return Ok(None);
    }
    // Its text is not shown: there may be a password in it.
    let proxy = text
        .parse()
        .map_err(|e| Failure::Usage(format!("--proxy env: {name}: {e}")))?;
    Ok(Some(proxy))
}

/// Whether a host is one of those that are reached without a proxy: `*`, names, and domains with or without a dot before them.
fn is_exempt(host: &str, list: &str) -> bool {
    let host = host.to_ascii_lowercase();
    list.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            let domain = entry.trim_start_matches('.').to_ascii_lowercase();
            entry == "*"
                || host == domain
                || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        "vpn.example.org".parse().unwrap()
    }

    fn environment(variables: &[(&str, &str)]) -> Result<Option<Proxy>, Failure> {
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        from_environment(find, &target())
    }

    #[test]
    fn the_environment_is_read_as_other_programs_read_it() {
        for (variables, found) in [
            (
                &[("https_proxy", "http://proxy:3128")][..],
                Some("http://proxy:3128"),
            ),
            (&[("HTTPS_PROXY", "proxy")], Some("http://proxy:8080")),
            (
                &[("https_proxy", ""), ("all_proxy", "socks5h://proxy")],
                Some("socks5://proxy:1080"),
            ),
            (
                &[
                    ("https_proxy", "http://proxy:3128"),
                    ("no_proxy", "a, .example.org"),
                ],
                None,
            ),
            (&[("https_proxy", "http://proxy:3128"), ("no_proxy", "*")], None),
            (
                &[("https_proxy", "http://proxy:3128"), ("no_proxy", "ample.org")],
                Some("http://proxy:3128"),
            ),
        ] {
            let proxy = environment(variables).unwrap();
            assert_eq!(
                proxy.map(|proxy| proxy.to_string()).as_deref(),
                found,
                "{variables:?}"
            );
        }
        assert!(environment(&[("http_proxy", "http://proxy:3128")]).is_err());
    }

    #[test]
    fn a_password_on_the_command_line_is_refused_without_repeating_it() {
        let refused = from_option("http://alice:Fuji@proxy").unwrap_err().to_string();
        assert!(!refused.contains("Fuji"), "{refused}");
        assert!(from_option("http://alice@proxy").is_ok());
    }
}
