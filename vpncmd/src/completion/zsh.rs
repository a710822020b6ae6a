//! Completion for Zsh.

use std::fmt::Write as _;

use super::{commands, parameters, switches};

/// What does not depend on the tables.
const FUNCTION: &str = r"
_vpncmd() {
    local command word host
    integer i
    for ((i = 2; i < CURRENT; i++)); do
        word=$words[i]
        case $word in
            (--|(#i)[/-]cmd) command=${words[i + 1]:-\?}; ((i + 1 >= CURRENT)) && command=\?; break ;;
            (--*=*) ;;
            (--*) ((${_vpncmd_valued[(Ie)$word]})) && ((++i)) ;;
            ([/-]*) ;;
            (*) if [[ -n $host ]]; then command=$word; break; fi; host=$word ;;
        esac
    done
    if [[ $command == '?' || ( -z $command && -n $host && $PREFIX != [/-]* ) ]]; then
        _describe -t commands command _vpncmd_commands -M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}'
    elif [[ -n $command ]]; then
        local -a parameters
        parameters=(${(f)_vpncmd_parameters[${(L)command}]})
        _describe -t parameters parameter parameters -S '' -M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}' || _files
    elif [[ $PREFIX == [/-]* ]]; then
        _describe -t switches switch _vpncmd_switches
    else
        _hosts
    fi
}
_vpncmd_start() { setopt localoptions extendedglob; _vpncmd }
_vpncmd_start
";

pub(super) fn script() -> String {
    let mut out = String::from(
        "#compdef vpncmd\n# Zsh completion for vpncmd: put this file as _vpncmd into a folder of $fpath.\n\n\
         typeset -ga _vpncmd_commands _vpncmd_switches _vpncmd_valued\ntypeset -gA _vpncmd_parameters\n",
    );
    out.push_str("_vpncmd_commands=(\n");
    for command in commands() {
        let _ = writeln!(out, "    '{}:{}'", command.name, quoted(command.title));
    }
    out.push_str(")\n_vpncmd_switches=(\n");
    let ours = switches();
    for switch in &ours {
        let _ = writeln!(out, "    '--{}:{}'", switch.name, quoted(&switch.about));
    }
    let valued = ours.iter().filter(|switch| switch.value.is_some());
    let valued: Vec<String> = valued.map(|switch| format!("--{}", switch.name)).collect();
    let _ = writeln!(out, ")\n_vpncmd_valued=({})", valued.join(" "));
    out.push_str("_vpncmd_parameters=(\n");
    for command in commands() {
        let each: Vec<String> = parameters(command)
            .into_iter()
            .map(|(typed, help)| format!("{}:{}", typed.replace(':', "\\:"), quoted(help)))
            .collect();
        if !each.is_empty() {
            let _ = writeln!(
                out,
                "    {} '{}'",
                command.name.to_ascii_lowercase(),
                each.join("\n")
            );
        }
    }
    out.push_str(")\n");
    out.push_str(FUNCTION);
    out
}

/// Fit for single quotes, and for a description, in which a colon ends the name.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''").replace(':', "\\:")
}
