//! The command line and its settings, by running the command.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `waybill` in a folder with nothing else in its environment: the exit code,
/// what it printed, and what it said on standard error.
fn waybill(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_waybill"))
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .args(arguments)
        .output()
        .expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("an exit code");
    (code, text(output.stdout), text(output.stderr))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn help_and_version_succeed() {
    let folder = folder();
    let (code, stdout, stderr) = waybill(folder.path(), &[], &["--version"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines[0], format!("waybill {}", env!("CARGO_PKG_VERSION")));
    // A build for development does not know its commit.
    assert_eq!(lines[1], "commit: dev");
    let (_, short, _) = waybill(folder.path(), &[], &["-V"]);
    assert_eq!(short.trim_end(), lines[0]);

    let (code, stdout, _) = waybill(folder.path(), &[], &["--help"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("Usage: waybill"), "{stdout}");
    assert!(stdout.contains("Show or check the settings"), "{stdout}");
}

#[test]
fn a_wrong_command_line_exits_with_64() {
    let folder = folder();
    for arguments in [&[][..], &["dance"], &["config"], &["config", "show", "--colour"], &["--set"]]
    {
        let (code, stdout, stderr) = waybill(folder.path(), &[], arguments);
        assert_eq!((code, stdout.as_str()), (64, ""), "{arguments:?}");
        assert!(stderr.contains("--help") || stderr.contains("Usage: "), "{stderr}");
    }
}

#[test]
fn a_slip_gets_a_suggestion() {
    let folder = folder();
    for (arguments, meant) in [
        (&["publsh"][..], "'publish'"),
        (&["status", "--ouput", "json"], "'--output'"),
        (&["rejects", "list", "--reason", "not_jsn"], "'not_json'"),
    ] {
        let (code, _, stderr) = waybill(folder.path(), &[], arguments);
        assert_eq!(code, 64, "{arguments:?}");
        assert!(stderr.contains("similar") && stderr.contains(meant), "{stderr}");
    }
}

#[test]
fn nothing_is_coloured_that_is_not_shown_on_a_terminal() {
    let folder = folder();
    for arguments in [&["dance"][..], &["--help"], &["config", "show"]] {
        let (_, stdout, stderr) = waybill(folder.path(), &[], arguments);
        assert!(!(stdout + &stderr).contains('\u{1b}'), "{arguments:?}");
    }
}

#[test]
fn shells_complete_commands_whatever_the_settings_are() {
    let folder = folder();
    fs::write(folder.path().join("waybill.toml"), "[wrong").expect("a file");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, stderr) = waybill(folder.path(), &[], &["completions", shell]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{shell}");
        assert!(script.contains("reconcile") && script.contains("lock-timeout"), "{shell}");
    }
    let (_, script, _) = waybill(folder.path(), &[], &["completions", "bash"]);
    fs::write(folder.path().join("waybill"), script).expect("a file");
    let ask = "source ./waybill; COMP_WORDS=(waybill rejects re); COMP_CWORD=2; \
               _waybill waybill re rejects; echo ${COMPREPLY[*]}";
    let ran = Command::new("bash").args(["-c", ask]).current_dir(folder.path()).output();
    assert_eq!(String::from_utf8_lossy(&ran.expect("bash").stdout), "replay\n");
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = folder();
    let (code, _, stderr) = waybill(folder.path(), &[], &["man", "man1"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for page in ["waybill.1", "waybill-publish.1", "waybill-rejects-list.1"] {
        let page = fs::read_to_string(folder.path().join("man1").join(page)).expect(page);
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Examples:"), "{page}");
    }
    fs::write(folder.path().join("file"), "").expect("a file");
    let (code, _, stderr) = waybill(folder.path(), &[], &["man", "file/man1"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("the pages cannot be written to file/man1"), "{stderr}");
}

#[test]
fn the_settings_are_shown_to_programs_too() {
    let (folder, url) = (folder(), ("WAYBILL_DATABASE__URL", "postgres://me:pw@h/d"));
    let show = ["config", "show", "--output", "json", "--set", "broker.channel=a"];
    let (code, stdout, _) = waybill(folder.path(), &[url], &show);
    assert_eq!(code, 0);
    let shown: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(shown["broker.channel"]["value"], "a");
    assert_eq!(shown["broker.channel"]["origin"], "--set");
    assert_eq!(shown["database.url"]["value"], "postgres://me:***@h/d");
    assert!(shown["http.listen"]["origin"].is_null(), "{shown}");
}

#[test]
fn legal_settings_are_fine() {
    let folder = folder();
    let result = waybill(folder.path(), &[], &["config", "check"]);
    assert_eq!(result, (0, "settings are fine\n".to_owned(), String::new()));
}

#[test]
fn the_logins_of_the_channel_and_of_the_stream_are_looked_into() {
    let folder = folder();
    fs::write(folder.path().join("empty.creds"), "").expect("a file");
    let credentials =
        ["broker", "jetstream"].map(|it| format!("{it}.credentials_file=empty.creds"));
    let check = ["config", "check", "--set", "jetstream.url=nats://h"];
    let set = credentials.iter().flat_map(|setting| ["--set", setting.as_str()]);
    let arguments: Vec<_> = check.into_iter().chain(set).collect();
    let (code, stdout, stderr) = waybill(folder.path(), &[], &arguments);
    assert_eq!((code, stdout.as_str()), (64, ""));
    let lines: Vec<_> = stderr.lines().collect();
    assert!(lines[0].starts_with("error: `broker.credentials_file` empty.creds: "), "{stderr}");
    assert!(lines[1].starts_with("error: `jetstream.credentials_file` empty.creds: "), "{stderr}");
}

#[test]
fn every_mistake_gets_a_line_and_the_exit_code_is_64() {
    let folder = folder();
    fs::write(folder.path().join("waybill.toml"), "[broker]\nchanel = 'a'").expect("a file");
    let variables = [("WAYBILL_DATABASE__MAX_CONNECTIONS", "many"), ("WAYBILL_PORT", "tcp://x")];

    let (code, stdout, stderr) = waybill(folder.path(), &variables, &["config", "check"]);

    assert_eq!((code, stdout.as_str()), (64, ""));
    insta::assert_snapshot!(stderr, @r"
    error: unknown setting `broker.chanel` in waybill.toml; did you mean `broker.channel`?
    error: setting `database.max_connections` from environment variable WAYBILL_DATABASE__MAX_CONNECTIONS is `many`; it must be a whole number from 1 to 1000
    ");
}

#[test]
fn the_named_file_replaces_the_one_in_the_folder() {
    let folder = folder();
    fs::write(folder.path().join("waybill.toml"), "[broker]\nchanel = 'a'").expect("a file");
    fs::write(folder.path().join("other.toml"), "[broker]\nchannel = 'b'").expect("a file");
    let variables =
        [("WAYBILL_DATABASE__URL", "postgres://me:hunter2@h/db"), ("HOSTNAME", "host.x")];
    let arguments = [
        "--set",
        "ingest.writers=3",
        "config",
        "show",
        "--config",
        "other.toml",
        "--set",
        "http.workers=2",
    ];

    let (code, stdout, stderr) = waybill(folder.path(), &variables, &arguments);

    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in [
        "channel = \"b\" # from other.toml",
        "client_id = \"host-x\" # from the host name",
        "url = \"postgres://me:***@h/db\" # from environment variable WAYBILL_DATABASE__URL",
        "writers = 3 # from --set",
        "workers = 2 # from --set",
        "max_in_flight = 4096",
        "log_format = \"json\" # from standard error, not a terminal",
    ] {
        assert!(stdout.lines().any(|shown| shown == line), "{line}\n{stdout}");
    }
    assert!(!stdout.contains("hunter2"), "{stdout}");
}

#[test]
fn a_missing_file_is_a_mistake() {
    let folder = folder();
    let (code, _, stderr) =
        waybill(folder.path(), &[], &["config", "check", "--config", "none.toml"]);
    assert_eq!(code, 64);
    assert_eq!(stderr, "error: cannot read none.toml: No such file or directory (os error 2)\n");
}

#[test]
fn output_that_nobody_reads_is_a_success_only_where_showing_is_all() {
    let folder = folder();
    for (arguments, expected) in [(&["config", "show"][..], 0), (&["healthcheck"], 1)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
        // Nobody listens on port 1, so the check has something bad to say.
        command.current_dir(folder.path()).env_clear().env("WAYBILL_ADMIN__LISTEN", "127.0.0.1:1");
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let ended = child.wait().expect("it ends");
        assert_eq!(ended.code(), Some(expected), "{arguments:?}");
    }
}
