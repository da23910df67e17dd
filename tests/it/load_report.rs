//! `waybill load report` on results that vegeta wrote.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// A copy of saved results, for the report is written beside them.
fn results(name: &str) -> TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/load").join(name);
    let dir = tempfile::tempdir().expect("a folder");
    copy(&from, dir.path());
    dir
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("results") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).expect("a folder");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Runs the command: its exit code, and what it printed and said.
fn report(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
    command.args(["load", "report"]).arg(dir).args(arguments).env_clear();
    let output = command.output().expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json(dir: &Path) -> Value {
    let text = fs::read(dir.join("report.json")).expect("report.json");
    serde_json::from_slice(&text).expect("JSON")
}

/// The exit code and the text of saved results, without the place of the folder.
fn printed(name: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let dir = results(name);
    let (code, printed, said) = report(dir.path(), arguments);
    assert_eq!(said, "", "{printed}");
    for line in printed.lines() {
        assert!(line.chars().count() <= 110, "{line}");
    }
    (code, printed.replace(&dir.path().display().to_string(), "DIR"))
}

#[test]
fn a_footer_is_the_last_line_whatever_the_verdict() {
    for name in ["good", "slow"] {
        let (_, text) = printed(name, &["--footer", "see kubectl logs -c html"]);
        assert!(text.ends_with("\nsee kubectl logs -c html\n"), "{text}");
    }
}

#[test]
fn a_run_that_keeps_its_objectives_passes() {
    let (code, text) = printed("good", &[]);
    assert_eq!(code, Some(0), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_run_that_is_too_slow_or_sends_too_few_fails() {
    let (code, text) = printed("slow", &[]);
    assert_eq!(code, Some(1), "{text}");
    insta::assert_snapshot!(text);
    let (code, text) = printed("slow", &["--no-fail"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = printed("slow", &["--slo", "p99<=1s"]);
    assert_eq!(code, Some(1), "one stage still sent too few: {text}");
    assert!(text.contains("Knee: 50 requests a second is the highest rate"), "{text}");
}

#[test]
fn failures_are_counted_by_kind_and_break_the_objective() {
    let (code, text) = printed("failing", &[]);
    assert_eq!(code, Some(1), "{text}");
    insta::assert_snapshot!(text);
    let (code, text) = printed("refused", &[]);
    assert_eq!(code, Some(1), "{text}");
    insta::assert_snapshot!("refused", text);
    let (code, text) = printed("refused", &["--slo", "success>=0"]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn results_that_cannot_be_read_whole_are_no_verdict() {
    let (code, text) = printed("truncated", &[]);
    assert_eq!(code, Some(2), "{text}");
    insta::assert_snapshot!(text);
    let (code, text) = printed("empty", &["--no-fail"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("DIR/50.bin: holds no results\n"), "{text}");
    assert!(text.ends_with("INCOMPLETE: not all results could be read\n"), "{text}");

    let dir = results("good");
    fs::write(dir.path().join("200.bin"), "{\"attack\":\"\",\"seq\":0}\n").expect("a file");
    let (code, text, _) = report(dir.path(), &[]);
    assert_eq!(code, Some(2), "{text}");
    assert_eq!(json(dir.path())["verdict"], "incomplete");
    assert_eq!(json(dir.path())["stages"][0]["requests"], 50, "what can be read is told");
}

#[test]
fn where_there_are_no_results_the_folder_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, printed, said) = report(dir.path(), &[]);
    assert_eq!((code, &*printed), (Some(2), ""), "{said}");
    assert!(said.contains(&format!("no results in {}", dir.path().display())), "{said}");
    let (code, _, said) = report(&dir.path().join("nowhere"), &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("cannot read the folder") && said.contains("nowhere"), "{said}");
}

#[test]
fn an_objective_that_is_none_is_an_error_of_usage() {
    let dir = results("good");
    let (code, _, said) = report(dir.path(), &["--slo", "p98<=5ms"]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("`p98<=5ms` bounds nothing that is measured; must be terms"), "{said}");
    assert!(!dir.path().join("report.json").exists());
}

#[test]
fn parts_are_rows_of_their_own_and_summed() {
    let (code, text) = printed("parts", &[]);
    assert_eq!(code, Some(0), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn workers_are_summed_and_none_may_be_missing() {
    let dir = results("workers");
    let (code, text, _) = report(dir.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    let stages = json(dir.path())["stages"].clone();
    assert_eq!((&stages[0]["rate"], &stages[0]["requests"]), (&40.into(), &40.into()));
    fs::remove_file(dir.path().join("1/40.bin")).expect("removed");
    let (code, text, _) = report(dir.path(), &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("worker 1 has no 40.bin"), "{text}");
}

#[test]
fn the_json_has_every_number_and_durations_in_seconds() {
    let dir = results("failing");
    let (_, text, _) = report(dir.path(), &["--slo", "success>=0.9"]);
    let report = json(dir.path());
    assert_eq!((&report["verdict"], &report["slo"]), (&"failed".into(), &"success>=0.9".into()));
    let stage = &report["stages"][0];
    assert_eq!(
        (&stage["rate"], &stage["requests"], &stage["successes"]),
        (&50.into(), &50.into(), &36.into()),
        "{text}"
    );
    assert_eq!(
        stage["status_codes"],
        serde_json::json!({"200": 18, "304": 6, "404": 12, "500": 14})
    );
    assert_eq!(stage["failures"], serde_json::json!({"500 Internal Server Error": 14}));
    assert_eq!(stage["breaches"][0]["what"], "success");
    // As `vegeta report` has it.
    assert_eq!(stage["latency_seconds"]["max"], 0.009_939_317);
    assert_eq!(stage["timeline"][0]["failed"], 14);
}

/// The page, and what a browser would fetch for it or run in it.
fn page(dir: &Path) -> String {
    let page = fs::read_to_string(dir.join("index.html")).expect("index.html");
    for forbidden in ["<script", "<img", "<link", "<iframe", "src=", "url(", "@import", "http://w"]
    {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; "), "{page}");
    page
}

#[test]
fn the_page_says_the_verdict_in_words_and_needs_nothing_else() {
    for (name, word, chart) in [
        ("good", "Passed", "p99 objective"),
        ("slow", "Failed", "50/s: p99 is 121 ms, must be"),
        ("failing", "Failed", "Failures over rate, by kind"),
        ("truncated", "Incomplete", "ends within a message, after 26 results"),
        ("empty", "Incomplete", "50.bin: holds no results"),
        ("parts", "Passed", "<bdi>kept</bdi>"),
    ] {
        let dir = results(name);
        report(dir.path(), &[]);
        let page = page(dir.path());
        assert!(page.contains(&format!("<h1 id=\"verdict\">{word}</h1>")), "{name}: {page}");
        assert!(name == "good" || page.contains(chart), "{name}: {page}");
        let charts = page.matches("role=\"img\" aria-label=\"").count();
        assert_eq!(charts, page.matches("<figure").count(), "{name}");
        assert!(!page.contains("NaN") && !page.contains("inf%"), "{name}: {page}");
    }
}

#[test]
fn what_others_wrote_is_escaped_and_the_page_can_be_printed_alone() {
    let dir = results("good");
    fs::write(dir.path().join("run.json"), r#"{"note":"<script>alert(1)</script>"}"#).unwrap();
    let sample = |second: u64, cpu: f64| {
        let time = (1_795_786_069 + second) * 1_000_000_000;
        format!(
            "{{\"time\":{time},\"target\":\"<b>:1\",\"cpu_seconds\":{cpu},\"resident_bytes\":1048576}}\n"
        )
    };
    let samples: String = (0..4_u32).map(|at| sample(at.into(), f64::from(at) / 2.0)).collect();
    fs::write(dir.path().join("server.ndjson"), samples).expect("written");
    fs::rename(dir.path().join("50.bin"), dir.path().join("50-<i>.bin")).expect("renamed");
    let (code, printed, said) = report(dir.path(), &["--html", "--slo", "p99<=1us"]);
    assert_eq!((code, &*said), (Some(0), ""), "{printed}");
    assert!(!dir.path().join("index.html").exists() && !dir.path().join("report.json").exists());
    report(dir.path(), &["--slo", "p99<=1us"]);
    let page = page(dir.path());
    assert_eq!(page, printed, "it is the same");
    assert!(page.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "{page}");
    for raw in ["<script>", "<b>", "<i>"] {
        assert!(!page.contains(raw), "{raw}");
    }
    assert!(page.contains("Processors in use") && page.contains("Memory"), "{page}");
    assert_eq!(report(results("empty").path(), &["--html"]).0, Some(2));
}

#[test]
fn ingest_is_judged_by_its_own_objectives() {
    let dir = results("good");
    let order = |number: u64| {
        let sent = 1_795_786_069_000_000_000 + number * 100_000_000;
        let (confirmed, served) = (sent + 2_000_000, sent + 30_000_000);
        format!(
            "{{\"sent\":{sent},\"confirmed\":{confirmed},\"served\":{served},\"error\":null}}\n"
        )
    };
    let orders: String = (0..10).map(order).collect();
    let end = "{\"complete\":true,\"orders\":10}\n";
    fs::write(dir.path().join("ingest-10.ndjson"), orders.clone() + end).expect("written");
    let (code, text, _) = report(dir.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("orders/s"), "{text}");
    assert!(page(dir.path()).contains("From publishing to 200, over rate"));
    let (code, text, _) = report(dir.path(), &["--ingest-slo", "p99<=20ms"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("ingest 10/s: p99 is 30.0 ms, must be <=20ms"), "{text}");
    fs::write(dir.path().join("ingest-10.ndjson"), orders).expect("written");
    let (code, text, _) = report(dir.path(), &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("ends within the run, after 10 orders"), "{text}");
}

#[test]
fn what_wrk_got_is_shown_and_not_judged() {
    let dir = results("good");
    let maxima = r#"[{"name":"known","requests_per_second":61130.4,"p50_us":410,"p99_us":2750,"errors":0},
        {"name":"a <b>","requests_per_second":12,"p50_us":1000,"p99_us":2000,"errors":7}]"#;
    fs::write(dir.path().join("wrk.json"), maxima).expect("written");
    let (code, printed, said) = report(dir.path(), &[]);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{printed}");
    assert!(printed.contains("known            61,130        0     0.41     2.75\n"), "{printed}");
    assert_eq!(json(dir.path())["wrk"][1]["errors"], 7);
    let page = fs::read_to_string(dir.path().join("index.html")).expect("the page");
    assert!(page.contains(r#"<td role="cell" data-label="Got/s">61,130</td>"#), "{page}");
    assert!(page.contains("a &#60;b&#62;"), "{page}");

    fs::write(dir.path().join("wrk.json"), "[{\"name\":\"known\"}]").expect("written");
    let (code, printed, _) = report(dir.path(), &[]);
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("wrk.json: missing field `requests_per_second`"), "{printed}");
}
