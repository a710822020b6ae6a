//! The program as scripts start it: what it finds, what it prints where, and its exit status.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/socket.rs"]
mod socket;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use socket::Server;

fn status(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn this_machines_server_is_reached_through_its_socket() {
    let server = Server::start();
    for host in [&["localhost"][..], &["127.0.0.1:5555"], &["[::1]:5555"], &[]] {
        let output = server.run(&[host, &["/SERVER", "/CSV", "/CMD", "HubList"]].concat());
        assert_eq!(status(&output), 0, "{host:?}: {}", stdout(&output));
        assert!(
            stdout(&output).contains("\nmikalab,Online,Standalone,"),
            "{}",
            stdout(&output)
        );
    }
}

#[test]
fn another_server_on_this_machine_is_not_taken_for_it() {
    let server = Server::start();
    // Nothing listens on port 1: the way over the network ends with "cannot be reached".
    let output = server.run(&["localhost:1", "/SERVER", "/CSV", "/CMD", "HubList"]);
    assert_eq!(status(&output), 1);
}

#[test]
fn a_password_a_hub_or_a_pin_means_the_way_over_the_network() {
    let server = Server::start();
    let pin = format!("--pin=sha256:{}", "0".repeat(64));
    for words in [&["/PASSWORD:x"][..], &["/HUB:mikalab"], &["--insecure"], &[&pin]] {
        let fixed = ["127.0.0.1:1", "/SERVER", "/CSV"];
        let output = server.run(&[&fixed[..], words, &["/CMD", "HubList"]].concat());
        assert_eq!(status(&output), 1, "{words:?}");
    }
}

#[test]
fn a_socket_that_is_named_must_be_there() {
    let server = Server::start();
    let output = server.run(&["--socket", "/nonexistent/control.sock", "/CSV", "/CMD", "HubList"]);
    assert_eq!(status(&output), 1);
    assert!(
        stdout(&output).contains("/nonexistent/control.sock"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn the_exit_status_is_the_stock_number() {
    let server = Server::start();
    for (words, expected) in [
        (&["/CMD", "HubList"][..], 0),
        (&["/CMD", "Hub", "nowhere"], 8),
        (&["/CMD", "Flush"], 33),
        (&["/CMD", "UserList"], 38),
        (&["/ADMINHUB:nowhere", "/CMD", "StatusGet"], 38),
        (&["/ADMINHUB:mikalab", "/CMD", "UserCreate"], 38),
        (&["/CMD", "Foo"], 117),
        (&["/CMD", "U"], 117),
        (&["/CLIENT", "no such host"], 38),
        (&["/FOO"], 38),
        (&["--password-file", "/nonexistent", "127.0.0.1:1"], 23),
    ] {
        let output = server.run(words);
        assert_eq!(status(&output), expected, "{words:?}: {}", stdout(&output));
    }
}

#[test]
fn json_is_all_that_is_printed() {
    let server = Server::start();
    let output = server.run(&["--json", "/CMD", "HubList"]);
    let value: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(value["HubList"][0]["HubName_str"], "mikalab");
    let output = server.run(&["--json", "/CMD", "Hub", "nowhere"]);
    let value: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(value["error"]["code"], 8);
}

#[test]
fn a_script_runs_to_its_end_and_its_output_is_copied() {
    let server = Server::start();
    let script = server.file(
        "script",
        "# remarks and empty lines are skipped\n\nServerPasswordSet hunter2\nFoo\nHubList\n",
    );
    let copy = server.folder.path().join("copy");
    let words = [
        format!("/IN:{}", script.display()),
        format!("/OUT:{}", copy.display()),
    ];
    let output = server.run(&[&words[0], &words[1]]);
    assert_eq!(status(&output), 0, "{}", stdout(&output));
    let text = stdout(&output);
    assert!(
        text.contains("VPN Server>Foo\n") && text.contains("|mikalab\n"),
        "{text}"
    );
    assert_eq!(fs::read_to_string(copy).unwrap(), text);
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_script_can_end_at_its_first_failure() {
    let server = Server::start();
    let script = server.file(
        "script",
        "# a remark\nHubList\nHub nowhere\nServerPasswordSet x\n",
    );
    let output = server.run(&[&format!("/IN:{}", script.display()), "--stop-on-error"]);
    assert_eq!(status(&output), 8);
    assert!(
        !stdout(&output).contains("ServerPasswordSet"),
        "{}",
        stdout(&output)
    );
    let said = format!(
        "vpncmd: stopped at {}, line 3, which ended with 8\n",
        script.display()
    );
    assert_eq!(stderr(&output), said);
}

#[test]
fn a_bare_word_behind_the_server_begins_the_command() {
    let server = Server::start();
    for words in [
        &["localhost", "HubList", "--json"][..],
        &["localhost", "--json", "hubl"],
        &["localhost", "/CMD", "HubList --json"],
        &["localhost", "/SERVER", "--json", "/CMD", "HubList"],
    ] {
        let output = server.run(words);
        assert_eq!(status(&output), 0, "{words:?}: {}", stderr(&output));
        let value: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(value["HubList"][0]["HubName_str"], "mikalab");
    }
}

#[test]
fn a_pipe_gets_no_colours() {
    let server = Server::start();
    for words in [&["/CMD", "Foo"][..], &["/CMD", "Hub", "nowhere"], &["--help"]] {
        let output = server
            .command(words)
            .env("TERM", "xterm-256color")
            .output()
            .unwrap();
        assert!(!output.stdout.contains(&0x1b), "{}", stdout(&output));
    }
}

#[test]
fn a_broken_connection_fails_one_command_and_is_made_anew() {
    let server = Server::start();
    let script = server.file("script", "Reboot\nHubList\n");
    let output = server.run(&[&format!("/IN:{}", script.display())]);
    let text = stdout(&output);
    assert!(text.contains("Error occurred. (Error code: 3)\n"), "{text}");
    assert!(text.contains("|mikalab\n"), "{text}");
    assert_eq!(status(&output), 0);
}

#[test]
fn nothing_waits_for_an_input_that_has_ended() {
    let server = Server::start();
    for words in [&["/CMD", "ServerPasswordSet"][..], &["/CMD", "HubCreate"], &[]] {
        // Without an end this test would not end.
        server.run(words);
    }
}

#[test]
fn a_reader_that_has_left_is_no_reason_to_crash() {
    let server = Server::start();
    let mut child = server
        .command(&["/CMD", "help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((status(&output), stderr(&output).as_str()), (0, ""));
}

#[test]
fn a_mistake_on_the_start_up_line_is_said_on_the_error_stream() {
    let server = Server::start();
    for (words, said) in [
        (&["/FOO:secret"][..], "/FOO"),
        (&["--pin", "x", "--insecure"], "--insecure"),
    ] {
        let output = server.run(words);
        assert_eq!((status(&output), stdout(&output).as_str()), (38, ""), "{words:?}");
        assert!(
            stderr(&output).contains(said) && !stderr(&output).contains("secret"),
            "{}",
            stderr(&output)
        );
    }
    for words in [["/?"], ["--version"]] {
        let output = server.run(&words);
        assert_eq!((status(&output), stderr(&output).as_str()), (0, ""));
        assert!(stdout(&output).contains("vpncmd"));
    }
}

#[test]
fn the_tools_need_no_server() {
    let output = Command::new(env!("CARGO_BIN_EXE_vpncmd"))
        .args(["/TOOLS", "/CMD", "PolicyList", "MaxUpload"])
        .env("HUBWARD_DATA_DIR", Path::new("/nonexistent"))
        .output()
        .unwrap();
    assert_eq!(status(&output), 0);
    assert!(stdout(&output).contains("|MaxUpload\n"), "{}", stdout(&output));
}

#[test]
fn a_line_that_does_not_say_what_to_administer_is_asked_and_leaving_ends_with_6() {
    let server = Server::start();
    for words in [&[][..], &["localhost"]] {
        let output = server.run(words);
        assert_eq!(status(&output), 6, "{words:?}: {}", stdout(&output));
        assert!(
            stdout(&output).contains("Select 1, 2 or 3: "),
            "{}",
            stdout(&output)
        );
    }
    for words in [
        &["/SERVER"][..],
        &["/CMD", "HubList"],
        &["/TOOLS"],
        &["/PASSWORD:"],
    ] {
        let output = server.run(words);
        assert_eq!(status(&output), 0, "{words:?}: {}", stdout(&output));
        assert!(!stdout(&output).contains("Select"), "{words:?}");
    }
}
