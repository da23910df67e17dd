//! `load/run`, the script of `make load`, with programs in the place of wrk, vegeta and waybill
//! that note how they were called and answer what those would.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Serves all at every rate, but publishes no more than 1,000 orders a second.
const WAYBILL: &str = r#"
for argument; do last=$output output=$argument; test "$last" = --output && break; done
case $* in
--version*) echo waybill 0 ;;
load\ targets*) echo '{"method":"GET","url":"http://h/api/v1/orders/one"}' >"$output" ;;
load\ ingest*) case $* in *--rates\ 1000\ *) exit 1 ;; esac ;;
load\ report*) echo page >"$3/index.html"; ls "$3" >"$3/files" ;;
esac
"#;

const WRK: &str =
    r#"echo Running; echo '{"requests_per_second":9000,"p50_us":1,"p99_us":2,"errors":0}'"#;

/// Answers 1,500 requests a second, of which some are of unknown ids, in stages of a second.
const VEGETA: &str = r#"
for argument; do case $argument in -output=*) echo results >"${argument#-output=}" ;; esac; done
case $* in
report*) echo '{"duration":1000000000,"wait":0,"status_codes":{"200":1000,"404":500,"0":9000}}' ;;
esac
"#;

/// How the script ended, what it said and what it called.
struct Ran {
    code: Option<i32>,
    said: String,
    calls: Vec<String>,
    dir: TempDir,
}

/// Runs the script in an empty folder, without a terminal.
fn run(environment: &[(&str, &str)]) -> Ran {
    let dir = tempfile::tempdir().expect("a folder");
    let calls = dir.path().join("calls");
    fs::write(&calls, "").expect("written");
    for (name, answers) in [("waybill", WAYBILL), ("wrk", WRK), ("vegeta", VEGETA)] {
        let path = dir.path().join(name);
        let text = format!("#!/bin/sh\necho \"{name} $*\" >>\"$CALLS\"\n{answers}\n");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("load/run"))
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", dir.path().display()))
        .env("CALLS", &calls)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the script runs");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    let calls = fs::read_to_string(calls).expect("noted");
    Ran { code: output.status.code(), said, calls: calls.lines().map(str::to_owned).collect(), dir }
}

#[test]
fn another_service_is_not_loaded_without_being_asked_for() {
    let ran = run(&[("URL", "http://other:8080")]);
    assert_eq!(ran.code, Some(64), "{}", ran.said);
    assert!(ran.said.contains("there is no terminal to ask on: set YES=1"), "{}", ran.said);
    assert!(ran.said.contains("http://other:8080"), "{}", ran.said);
    assert_eq!(ran.calls, [""; 0]);
    assert!(!ran.dir.path().join("load").exists());
}

#[test]
fn without_a_service_it_says_how_to_start_one() {
    let ran = run(&[]);
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(
        ran.said.contains("there is no service here: start one with `make up`"),
        "{}",
        ran.said
    );
    assert_eq!(ran.calls, [""; 0]);
}

#[test]
fn rates_rise_up_to_saturation_and_the_report_is_kept_and_listed() {
    let ran = run(&[("URL", "http://other:8080"), ("YES", "1")]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let rates = |program: &str, before: &str| -> Vec<String> {
        let calls = ran.calls.iter().filter(|call| call.starts_with(program));
        let rate = |call: &String| Some(call.split_once(before)?.1.split(' ').next()?.to_owned());
        calls.filter_map(rate).collect()
    };
    assert_eq!(rates("vegeta attack", "-rate="), ["500", "1000", "2000"]);
    assert_eq!(rates("waybill load ingest", "--rates "), ["100", "500", "1000"]);
    assert_eq!(rates("wrk", " -- "), ["known", "unknown", "page", "mix"]);
    assert!(ran.calls.iter().all(|call| !call.contains("load watch")), "{:#?}", ran.calls);

    let reports = ran.dir.path().join("load/reports");
    let name = fs::read_dir(&reports).expect("reports").find_map(|entry| {
        let entry = entry.expect("an entry");
        entry.path().is_dir().then(|| entry.file_name().into_string().expect("UTF-8"))
    });
    let name = name.expect("a report");
    let read = |path: &str| fs::read_to_string(reports.join(&name).join(path)).expect(path);
    // What the report was made of is there while it is made, and gone afterwards.
    assert!(read("files").contains("2000.bin\n"), "{}", read("files"));
    assert!(!reports.join(&name).join("2000.bin").exists());
    let wrk: serde_json::Value = serde_json::from_str(&read("wrk.json")).expect("JSON");
    assert_eq!(wrk[3]["name"], "mix");
    assert_eq!(wrk[3]["requests_per_second"], 9000);
    let facts: serde_json::Value = serde_json::from_str(&read("run.json")).expect("JSON");
    for fact in ["commit", "machine", "cores", "note"] {
        assert!(facts[fact].as_str().is_some_and(|text| !text.is_empty()), "{fact}: {facts}");
    }
    let index = fs::read_to_string(reports.join("index.html")).expect("the list");
    assert!(index.contains(&format!("href=\"{name}/index.html\"")), "{index}");
    assert!(ran.said.contains(&format!("Report: load/reports/{name}/index.html")), "{}", ran.said);
}
