//! The manual page, in the macros of man(7).

use std::fmt::Write as _;

use crate::{
    command::{Command, Mode, Scope},
    completion::switches,
    example,
    params::{Param, shown},
};

/// What stands around the tables.
const HEAD: &str = r#".TH VPNCMD 1 "" "Hubward" "User Commands"
.SH NAME
vpncmd \- administer VPN servers and client services
.SH SYNOPSIS
.B vpncmd
.RI [ HOST [: PORT ]]
.RI [ switches ]
.RI [ COMMAND " [" parameters ]]
.br
.B vpncmd
.IR HOST [: PORT ]
.RB [ /SERVER | /CLIENT | /TOOLS ]
.RB [ /HUB: \fINAME\fP| /ADMINHUB: \fINAME\fP]
.RB [ /PASSWORD: \fITEXT\fP]
.RB [ /IN: \fIFILE\fP]
.RB [ /OUT: \fIFILE\fP]
.RB [ /CSV ]
.RB [ /PROGRAMMING ]
.RB [ /CMD
.IR COMMAND ...]
.SH DESCRIPTION
.B vpncmd
administers a VPN server, a hub of it or a client service. With a command it runs it and ends; without one it reads commands line by
line, with editing, history and completion on a terminal. The second form is the language of the stock tool, in which switches
begin with / or \- and may be shortened.
.PP
A command is written with its positional parameter and its named ones:
.BR "UserCreate anna /GROUP:staff /REALNAME:none /NOTE:none" .
Names may be shortened, and are not case-sensitive;
.B none
stands for the empty value. What is missing is asked for, as long as somebody is there to answer.
On the server's own machine no password is needed for whoever may open the server's socket.
"#;

/// What stands behind the tables.
const TAIL: &str = r#".SH EXIT STATUS
The result of the last command: 0, or the number of what went wrong, as stock tools have it. 1: the server cannot be reached;
12: the password is wrong; 33: the server does not have this; 38: a parameter is wrong; 117: there is no such command;
23: something on this machine; 200:
.B Apply \-\-dry\-run
has found something to do.
.SH ENVIRONMENT
.TP
.B HUBWARD_DATA_DIR
The data folder of the server on this machine, with its control socket; otherwise
.I /var/lib/hubward
for root and
.I $XDG_STATE_HOME/hubward
or
.I ~/.local/state/hubward
for others.
.TP
.B NO_COLOR
No colours, also on a terminal.
.TP
.B TZ
The time zone in which times are shown and read.
.SH FILES
.TP
.I ~/.config/hubward/known_servers
The certificates that servers showed the first time.
.TP
.I ~/.local/state/hubward/vpncmd_history
What was typed at the prompt, without lines that hold a password.
.SH EXAMPLES
.TP
.B vpncmd localhost \-\-adminhub office UserList
List the users of a hub. Switches stand before the command; what follows it is its own.
.TP
.B vpncmd vpn.example.org apply site.toml \-\-dry\-run
Show what would change.
.SH SEE ALSO
.BR vpnserver (1),
.BR vpnclient (1)
"#;

/// The page.
#[must_use]
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    out.push_str(".SH OPTIONS\n");
    for switch in switches() {
        let name = escaped(&format!("--{}", switch.name));
        match &switch.value {
            Some(value) => {
                let _ = writeln!(out, ".TP\n.BI {name} \" {}\"", escaped(value));
            }
            None => {
                let _ = writeln!(out, ".TP\n.B {name}");
            }
        }
        paragraph(&mut out, &format!("{}.", switch.about));
    }
    for (title, mode, scopes) in [
        (
            "COMMANDS FOR SERVERS",
            Mode::Server,
            &[Scope::Server, Scope::Hub][..],
        ),
        ("COMMANDS FOR CLIENT SERVICES", Mode::Client, &[Scope::Client]),
        ("COMMANDS THAT NEED NEITHER", Mode::Tools, &[Scope::Local]),
    ] {
        let _ = writeln!(out, ".SH {title}");
        if mode == Mode::Server {
            paragraph(
                &mut out,
                "Those with (hub) are about the hub that --hub, --adminhub or the command Hub selects.",
            );
        }
        let of_mode = crate::command::all(mode);
        for command in of_mode.iter().filter(|command| scopes.contains(&command.scope)) {
            entry(&mut out, command);
        }
    }
    out.push_str(TAIL);
    out
}

fn entry(out: &mut String, command: &Command) {
    let words: Vec<String> = command.params.iter().map(usage).collect();
    let hub = if command.scope == Scope::Hub { " (hub)" } else { "" };
    let _ = writeln!(out, ".SS {}{hub}", command.name);
    let _ = writeln!(out, ".B {}\n{}", command.name, escaped(&words.join(" ")));
    out.push_str(".PP\n");
    for part in command.help.split('\n') {
        paragraph(out, part);
    }
    for param in command.params {
        let _ = writeln!(out, ".TP\n.B {}", escaped(&shown(param)));
        paragraph(out, param.help);
    }
    let _ = writeln!(out, ".PP\nExample:\n.B {}", escaped(&example::of(command)));
}

fn usage(param: &Param) -> String {
    match param {
        _ if param.positional => shown(param),
        _ if param.flag => format!("[{}]", param.long()),
        _ => format!("[{}:{}]", shown(param), param.name.to_ascii_lowercase()),
    }
}

/// A line of text; one that begins like a request must not be taken for one.
fn paragraph(out: &mut String, text: &str) {
    let text = escaped(text);
    let guard = if text.starts_with(['.', '\'']) { "\\&" } else { "" };
    let _ = writeln!(out, "{guard}{text}");
}

/// Backslashes and hyphens as themselves.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}
