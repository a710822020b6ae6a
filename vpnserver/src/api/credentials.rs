//! Who a request says it comes from, and whether a browser was talked into sending it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN, REFERER};
use zeroize::Zeroizing;

/// The header with the password.
const PASSWORD: &str = "x-vpnadmin-password";
/// The header with the hub, for its administrators.
const HUB: &str = "x-vpnadmin-hubname";
/// The user name of Basic authentication that stands for the server's administrator, as does an empty one.
const ADMINISTRATOR: &str = "administrator";
/// In which a browser says from whose page a request comes.
const FETCH_SITE: &str = "sec-fetch-site";

/// Who a request says it comes from.
#[derive(PartialEq, Eq)]
pub(super) struct Credentials {
    /// The hub to administer; none for the server.
    pub(super) hub: Option<String>,
    /// The password.
    pub(super) password: Zeroizing<Vec<u8>>,
}

/// Why a request has no credentials that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It has none.
    All,
    /// A browser added them by itself to a request that another site's page made.
    Foreign,
}

impl Credentials {
    /// Reads the headers of our own, or else those of HTTP Basic authentication (admin RPC §5).
    ///
    /// A browser sends Basic credentials it once learned with every later request, whoever's page makes it. So they
    /// count only where the request is not another site's. The headers of our own cannot be added by a page that does not know the
    /// password.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Missing> {
        if let Some(password) = headers.get(PASSWORD) {
            let hub = headers
                .get(HUB)
                .map(|hub| String::from_utf8_lossy(hub.as_bytes()));
            return Ok(Self {
                hub: hub
                    .filter(|hub| !hub.is_empty())
                    .map(std::borrow::Cow::into_owned),
                password: Zeroizing::new(password.as_bytes().to_vec()),
            });
        }
        let basic = headers
            .get(AUTHORIZATION)
            .and_then(|value| basic(value.as_bytes()));
        let credentials = basic.ok_or(Missing::All)?;
        if is_foreign(headers) {
            return Err(Missing::Foreign);
        }
        Ok(credentials)
    }
}

/// Basic authentication (RFC 7617).
fn basic(value: &[u8]) -> Option<Credentials> {
    let (scheme, token) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let plain = Zeroizing::new(STANDARD.decode(token.trim_ascii()).ok()?);
    let colon = plain.iter().position(|byte| *byte == b':')?;
    let user = String::from_utf8_lossy(&plain[..colon]).into_owned();
    let is_server = user.is_empty() || user.eq_ignore_ascii_case(ADMINISTRATOR);
    Some(Credentials {
        hub: (!is_server).then_some(user),
        password: Zeroizing::new(plain[colon + 1..].to_vec()),
    })
}

/// Whether a browser says that the request comes from another site's page. What is no browser says nothing.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
    };
    let of_us = |page: &str| {
        let host = text(HOST.as_str()).unwrap_or_default();
        let rest = page.strip_prefix("https://").unwrap_or_default();
        !host.is_empty()
            && rest
                .split('/')
                .next()
                .is_some_and(|own| own.eq_ignore_ascii_case(&host))
    };
    text(FETCH_SITE).is_some_and(|site| !matches!(&*site, "same-origin" | "none"))
        || text(ORIGIN.as_str()).is_some_and(|origin| !of_us(&origin))
        || text(REFERER.as_str()).is_some_and(|page| !of_us(&page))
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    fn read(lines: &[(&'static str, &str)]) -> Result<(Option<String>, String), Missing> {
        Credentials::of(&headers(lines)).map(|read| {
            let password = String::from_utf8(read.password.to_vec()).unwrap();
            (read.hub, password)
        })
    }

    fn basic_of(user: &str, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    }

    #[test]
    fn our_own_headers_come_before_basic_authentication() {
        let basic = basic_of("HUB2", "other");
        let all = [
            ("x-vpnadmin-hubname", "HUB1"),
            ("x-vpnadmin-password", "p\u{e4}ss"),
            ("authorization", basic.as_str()),
        ];
        assert_eq!(read(&all), Ok((Some("HUB1".to_owned()), "p\u{e4}ss".to_owned())));
        assert_eq!(read(&all[1..]), Ok((None, "p\u{e4}ss".to_owned())));
        assert_eq!(read(&all[2..]), Ok((Some("HUB2".to_owned()), "other".to_owned())));
        let nameless = [("x-vpnadmin-hubname", ""), ("x-vpnadmin-password", "x")];
        assert_eq!(read(&nameless), Ok((None, "x".to_owned())));
    }

    #[test]
    fn basic_authentication_names_the_server_or_a_hub() {
        for (user, hub) in [("", None), ("Administrator", None), ("HUB1", Some("HUB1"))] {
            let value = basic_of(user, "a:b");
            assert_eq!(
                read(&[("authorization", &value)]),
                Ok((hub.map(str::to_owned), "a:b".to_owned()))
            );
        }
        for value in [
            "",
            "Basic",
            "Basic !!!",
            "Basic YWJj",
            "Bearer YTpi",
            "B\u{e4}sic YTpi",
        ] {
            assert_eq!(read(&[("authorization", value)]), Err(Missing::All), "{value}");
        }
        assert_eq!(read(&[("x-vpnadmin-hubname", "HUB1")]), Err(Missing::All));
    }

    #[test]
    fn what_another_sites_page_makes_a_browser_send_does_not_count() {
        let basic = basic_of("", "x");
        let with = |extra: &[(&'static str, &str)]| {
            let own = [("authorization", basic.as_str()), ("host", "vpn.example:5555")];
            read(&[&own[..], extra].concat()).err()
        };
        for harmless in [
            ("origin", "https://vpn.example:5555"),
            ("origin", "https://VPN.example:5555"),
            ("referer", "https://vpn.example:5555/api/"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
        ] {
            assert_eq!(with(&[harmless]), None, "{harmless:?}");
        }
        for foreign in [
            ("origin", "https://evil.example"),
            ("origin", "https://vpn.example"),
            ("origin", "http://vpn.example:5555"),
            ("origin", "https://vpn.example:5555.evil.example"),
            ("origin", "null"),
            ("referer", "https://evil.example/vpn.example:5555"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(with(&[foreign]), Some(Missing::Foreign), "{foreign:?}");
        }
    }
}
