//! What is asked when the start-up line does not say what to administer.

use crate::{console::Console, failure::Outcome, options::Options};

/// Fills in what the options leave open: what to administer, on which host, and as which hub's administrator. False
/// when the user left instead, or gave an answer that is none: the stock tool ends with 6 then.
///
/// # Errors
/// The input cannot be read.
pub fn choose(options: &mut Options, console: &mut Console) -> Outcome<bool> {
    console.print_line(
        "vpncmd administers\n\n1. VPN servers\n2. VPN clients\n3. nothing: it has tools of its own\n",
    );
    let Some(answer) = console.ask("Select 1, 2 or 3: ")? else {
        return Ok(false);
    };
    console.print_line("");
    match answer.trim_start().chars().next() {
        Some('1') => options.server = true,
        Some('2') => options.client = true,
        Some('3') => options.tools = true,
        _ => return Ok(false),
    }
    if options.tools || options.host.is_some() {
        return Ok(true);
    }
    console.print_line(if options.server {
        "On which host? HOST, or HOST:PORT if the port is not 443. Enter alone means this machine.\n"
    } else {
        "On which host? Enter alone means this machine.\n"
    });
    let Some(host) = console.ask("Hostname of IP Address of Destination: ")? else {
        return Ok(false);
    };
    console.print_line("");
    options.host = Some(host.trim().to_owned()).filter(|host| !host.is_empty());
    if options.server {
        console.print_line("As which hub's administrator? Enter alone means the whole server's.\n");
        let Some(hub) = console.ask("Specify Virtual Hub Name: ")? else {
            return Ok(false);
        };
        console.print_line("");
        options.hub = Some(hub.trim().to_owned()).filter(|hub| !hub.is_empty());
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{command::Mode, console::testing};

    fn chosen(words: &[&str], typed: &str) -> (bool, Options, String) {
        let mut options = Options::try_parse_from([&["vpncmd"], words].concat()).unwrap();
        let (mut console, screen) = testing::console(typed);
        let goes_on = choose(&mut options, &mut console).unwrap();
        (goes_on, options, screen.text())
    }

    #[test]
    fn answers_become_options() {
        let (goes_on, options, _) = chosen(&[], "1\nvpn.example:992\nlab\n");
        assert!(goes_on && options.mode() == Mode::Server);
        assert_eq!(
            (options.host.as_deref(), options.hub.as_deref()),
            (Some("vpn.example:992"), Some("lab"))
        );
        let (goes_on, options, _) = chosen(&[], "1\n\n\n");
        assert!(goes_on && options.host.is_none() && options.hub.is_none());
        let (goes_on, options, _) = chosen(&[], "2\n10.0.0.9\n");
        assert!(goes_on && options.mode() == Mode::Client);
        assert_eq!(options.host.as_deref(), Some("10.0.0.9"));
        let (goes_on, options, _) = chosen(&[], "3\n");
        assert!(goes_on && options.mode() == Mode::Tools);
    }

    #[test]
    fn a_host_that_is_known_is_not_asked_for() {
        let (goes_on, options, screen) = chosen(&["vpn.example"], "1\n");
        assert!(goes_on && options.host.as_deref() == Some("vpn.example"));
        assert!(!screen.contains("Hostname"), "{screen}");
    }

    #[test]
    fn whoever_leaves_or_chooses_nothing_ends_the_tool() {
        for typed in ["", "\n", "4\n", "x\n", "1\n", "1\nhost\n", "2\n"] {
            let (goes_on, ..) = chosen(&[], typed);
            assert!(!goes_on, "{typed:?}");
        }
    }
}
