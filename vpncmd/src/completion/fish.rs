//! Completion for Fish.

use std::fmt::Write as _;

use super::{commands, parameters, switches};

/// What does not depend on the tables.
const FUNCTIONS: &str = r"
# The command of the line in lower case; fails when there is none yet.
function __vpncmd_command
    set -l words (commandline -opc)
    set -l host
    set -l i 2
    while test $i -le (count $words)
        set -l word $words[$i]
        switch (string lower -- $word)
            case -- /cmd -cmd
                set i (math $i + 1)
                test $i -le (count $words); or return 2
                string lower -- $words[$i]
                return 0
            case '--*=*' '/*' '-?'
            case '--*'
                contains -- $word $__vpncmd_valued; and set i (math $i + 1)
            case '-*'
            case '*'
                if set -q host[1]
                    string lower -- $word
                    return 0
                end
                set host $word
        end
        set i (math $i + 1)
    end
    set -q host[1]; and return 2
    return 1
end

function __vpncmd_wants_command
    __vpncmd_command >/dev/null
    test $status -eq 2
end

function __vpncmd_is
    test (__vpncmd_command; or true)x = $argv[1]x
end

function __vpncmd_starts
    not __vpncmd_command >/dev/null
end

";

pub(super) fn script() -> String {
    let mut out = String::from(
        "# Fish completion for vpncmd: put this file into ~/.config/fish/completions/vpncmd.fish\n\n",
    );
    let ours = switches();
    let valued = ours.iter().filter(|switch| switch.value.is_some());
    let valued: Vec<String> = valued.map(|switch| format!("--{}", switch.name)).collect();
    let _ = writeln!(out, "set -g __vpncmd_valued {}", valued.join(" "));
    out.push_str(FUNCTIONS);
    for switch in &ours {
        let takes = if switch.value.is_some() { " -r" } else { "" };
        let (name, about) = (&switch.name, quoted(&switch.about));
        let _ = writeln!(
            out,
            "complete -c vpncmd -n __vpncmd_starts -l {name}{takes} -d '{about}'"
        );
    }
    for command in commands() {
        let (name, title) = (command.name, quoted(command.title));
        let _ = writeln!(
            out,
            "complete -c vpncmd -f -n __vpncmd_wants_command -a {name} -d '{title}'"
        );
        let lower = name.to_ascii_lowercase();
        for (typed, help) in parameters(command) {
            let help = quoted(help);
            let _ = writeln!(
                out,
                "complete -c vpncmd -f -n '__vpncmd_is {lower}' -a '{typed}' -d '{help}'"
            );
        }
    }
    out
}

/// Fit for single quotes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
