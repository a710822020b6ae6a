//! Completion for Bash.

use std::fmt::Write as _;

use super::{commands, parameters, switches};

/// What does not depend on the tables. Bash takes words apart at `:` and `=`, so that a value is a word of its own.
const FUNCTION: &str = r#"
_vpncmd() {
    local cur=${COMP_WORDS[COMP_CWORD]} command= host= i word choices
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            : | =) ((++i)) ;;
            -- | /[Cc][Mm][Dd] | -[Cc][Mm][Dd])
                ((++i < COMP_CWORD)) && command=${COMP_WORDS[i]} || command=?
                break ;;
            --*) [[ " $_vpncmd_valued " == *" $word "* && ${COMP_WORDS[i + 1]} != = ]] && ((++i)) ;;
            [/-]*) ;;
            *)
                if [[ $host ]]; then command=$word; break; fi
                host=$word ;;
        esac
    done
    case ${COMP_WORDS[COMP_CWORD - 1]} in : | =) COMPREPLY=(); return ;; esac
    if [[ $command == '?' || (-z $command && $host && $cur != [/-]*) ]]; then
        choices=$_vpncmd_commands
    elif [[ $command ]]; then
        _vpncmd_parameters "${command,,}"
        choices=$REPLY
        [[ ${command,,} == help ]] && choices=$_vpncmd_commands
    else
        choices=$_vpncmd_switches
    fi
    COMPREPLY=()
    for word in $choices; do
        [[ ${word,,} == "${cur,,}"* ]] && COMPREPLY+=("$word")
    done
    [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *: ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _vpncmd vpncmd
"#;

pub(super) fn script() -> String {
    let mut out = String::from(
        "# Bash completion for vpncmd: source this file, or put it into ~/.local/share/bash-completion/completions/vpncmd\n\n",
    );
    let names: Vec<&str> = commands().iter().map(|command| command.name).collect();
    let _ = writeln!(out, "_vpncmd_commands='{} Help Exit'", names.join(" "));
    let ours = switches();
    let mut words: Vec<String> = ours.iter().map(|switch| format!("--{}", switch.name)).collect();
    words.extend(["/CMD", "/SERVER", "/CLIENT", "/TOOLS", "/HUB:", "/ADMINHUB:"].map(str::to_owned));
    words.extend(["/PASSWORD:", "/IN:", "/OUT:", "/CSV", "/PROGRAMMING"].map(str::to_owned));
    let _ = writeln!(out, "_vpncmd_switches='{}'", words.join(" "));
    let valued = ours.iter().filter(|switch| switch.value.is_some());
    let valued: Vec<String> = valued.map(|switch| format!("--{}", switch.name)).collect();
    let _ = writeln!(out, "_vpncmd_valued='{}'", valued.join(" "));
    out.push_str("\n_vpncmd_parameters() {\n    case $1 in\n");
    for command in commands() {
        let typed: Vec<String> = parameters(command).into_iter().map(|(typed, _)| typed).collect();
        if !typed.is_empty() {
            let name = command.name.to_ascii_lowercase();
            let _ = writeln!(out, "        {name}) REPLY='{}' ;;", typed.join(" "));
        }
    }
    out.push_str("        *) REPLY= ;;\n    esac\n}\n");
    out.push_str(FUNCTION);
    out
}
