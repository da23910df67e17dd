//! What the pages call, held against what there is: the command line and the settings of
//! `waybill`, the targets of the Makefile, the chart.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

use clap::error::ErrorKind;
use waybill::config::Settings;

use super::page::repository;
use super::shell::Call;
use crate::chart::{helm_for, render_with};

/// Where the pages call the program of `make up`.
const BUILT: &str = "target/debug/waybill";

/// How a call was found.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// In a block, to be typed as it stands.
    Block,
    /// In a line of text, where it may leave arguments and values out.
    Text,
}

impl Call {
    /// What is wrong with this call, if anything is and it can be judged.
    pub(super) fn mistake(&self, place: Place) -> Option<String> {
        let mistake = match self.words.first()?.as_str() {
            "waybill" | BUILT => waybill(self, place),
            "make" => make(&self.words[1..]),
            "helm" => helm(&self.words[1..], place),
            "kubectl" => kubectl(&self.words[1..]),
            _ => self.words.iter().find_map(|word| missing_file(word)),
        };
        mistake.map(|mistake| format!("`{}`: {mistake}", self.words.join(" ")))
    }

    /// Whether this call is run, or judged as a whole, or does nothing but pass text on.
    pub(super) fn is_judged(&self) -> bool {
        let text_tools = ["cut", "echo", "grep", "head", "printf", "sed", "sha256sum"];
        let program = self.words[0].as_str();
        ["waybill", BUILT, "make", "curl"].contains(&program) || text_tools.contains(&program)
    }
}

/// Whether clap takes the arguments, and the settings are ones that there are.
fn waybill(call: &Call, place: Place) -> Option<String> {
    let parsed = waybill::cli::arguments().try_get_matches_from(&call.words);
    if let Err(error) = parsed {
        let is_cut_short = matches!(
            error.kind(),
            ErrorKind::InvalidValue
                | ErrorKind::MissingRequiredArgument
                | ErrorKind::MissingSubcommand
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        if error.use_stderr() && !(is_cut_short && place == Place::Text) {
            return Some(error.to_string());
        }
    }
    let sets = call.words.windows(2).filter(|pair| pair[0] == "--set");
    let sets: Vec<String> = sets.map(|pair| pair[1].clone()).collect();
    let settings = Settings::load(None, &sets, call.variables.iter().cloned());
    settings.err().map(|error| error.to_string())
}

/// Whether the targets exist, and something reads the variables.
fn make(arguments: &[String]) -> Option<String> {
    let readers = ["Makefile", "scripts/cluster-test", "load/run"];
    let readers = readers.map(|path| std::fs::read_to_string(repository(path)).expect(path));
    for (name, _) in arguments.iter().filter_map(|argument| argument.split_once('=')) {
        let is_it = |word: &str| word == name;
        let is_word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        if !readers.iter().any(|text| text.split(is_word).any(is_it)) {
            return Some(format!("nothing reads {name}"));
        }
    }
    let mut make = Command::new("make");
    make.args(["--dry-run", "--silent", "-C"]).arg(repository("")).args(arguments);
    // Those of a `make test` above this process.
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    let output = make.output().expect("make");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(errors)
}

/// Whether the chart takes the values with which it is installed.
fn helm(words: &[String], place: Place) -> Option<String> {
    let mut words = words.iter();
    let verb = words.next()?;
    if place == Place::Text || !["install", "upgrade"].contains(&verb.as_str()) {
        return None;
    }
    let mut values = Vec::new();
    let mut names = Vec::new();
    while let Some(word) = words.next() {
        match &**word {
            "-f" | "--set" => values.extend([&**word, words.next()?]),
            "-n" | "--timeout" => drop(words.next()),
            "--wait" | "--reuse-values" => {}
            name => names.push(name),
        }
    }
    let [release, "charts/waybill"] = names[..] else {
        return Some("must name a release and charts/waybill".to_owned());
    };
    let output = helm_for(release, &values);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(errors)
}

/// Kinds of objects that the chart and `k8s` bring.
const KINDS: [&str; 6] =
    ["cronjob", "deployment", "networkpolicy", "secret", "service", "statefulset"];

/// `kind/name` of everything that an install of the pages may have.
static OBJECTS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let values = "load.enabled=true,load.ingest.enabled=true,reconcile.enabled=true,\
        backup.enabled=true,nats.enabled=true,bridge.enabled=true";
    let objects = render_with(&["--set", values]);
    let named = |kind: &str, name: &str| format!("{}/{name}", kind.to_lowercase());
    let mut all: BTreeSet<_> = objects.iter().map(|it| named(it.kind(), it.name())).collect();
    for path in ["k8s/monitoring/prometheus.yaml", "k8s/monitoring/grafana.yaml"] {
        let text = std::fs::read_to_string(repository(path)).expect(path);
        let objects = serde_saphyr::from_multiple::<serde_json::Value>(&text).expect(path);
        let part = |object: &serde_json::Value, pointer| {
            object.pointer(pointer).and_then(|part| part.as_str()).unwrap_or_default().to_owned()
        };
        all.extend(objects.iter().map(|it| named(&part(it, "/kind"), &part(it, "/metadata/name"))));
    }
    all
});

/// Whether the files exist, and the objects are ones that are installed.
fn kubectl(words: &[String]) -> Option<String> {
    let creates = words.iter().any(|word| word == "create" || word == "run");
    for (at, word) in words.iter().enumerate() {
        if let Some(mistake) = missing_file(word) {
            return Some(mistake);
        }
        let object = word.strip_prefix("--from=").unwrap_or(word);
        let next = words.get(at + 1).filter(|next| !next.starts_with('-'));
        let (kind, name) = match (object.split_once('/'), next) {
            (Some((kind, name)), _) => (kind, name),
            (None, Some(next)) if !creates => (object, &**next),
            _ => continue,
        };
        let is_placeholder = name.starts_with(|c: char| c.is_uppercase() || c == '…');
        if !KINDS.contains(&kind) || is_placeholder || KINDS.contains(&name) || name.contains('/') {
            continue;
        }
        if !OBJECTS.contains(&format!("{kind}/{name}")) {
            return Some(format!("nothing brings {kind}/{name}"));
        }
    }
    None
}

/// A file or folder of the repository that a word names and that does not exist.
fn missing_file(word: &str) -> Option<String> {
    let path = word.strip_prefix("--from-file=").unwrap_or(word);
    let folders = ["alerts", "benches", "charts", "crates", "dashboards", "data", "docs", "k8s"];
    let (folder, _) = path.split_once('/')?;
    let is_ours = folders.contains(&folder);
    (is_ours && !repository(path).exists()).then(|| format!("there is no {path}"))
}

#[test]
fn wrong_commands_are_noticed() {
    for (line, is_wrong) in [
        ("waybill publish --generate 10", false),
        ("waybill publish --generat 10", true),
        ("waybill verify", true),
        ("waybill serve --set log.format=json", true),
        ("WAYBILL_BROKER__CHANEL=x waybill serve", true),
        ("make up HTTP_PORT=9090", false),
        ("make upp", true),
        ("make up HTTPPORT=9090", true),
        ("make cluster-test", true),
        ("helm install waybill charts/waybill -n waybill --set replicaCount=3", false),
        ("helm install waybill charts/waybill --set replicaCuont=3", true),
        ("kubectl apply -f k8s/namespaces.yaml", false),
        ("kubectl apply -f k8s/no-such.yaml", true),
        ("kubectl -n waybill create job load-1 --from=cronjob/waybill-load", false),
        ("kubectl -n waybill create job load-1 --from=cronjob/waybill-lod", true),
        ("kubectl get secret waybill-postgres", false),
        ("kubectl get secret waybill-postgre", true),
        ("benches/no-such.sh", true),
    ] {
        let calls = super::shell::calls(line).expect(line);
        let mistake = calls[0].mistake(Place::Block);
        assert_eq!(mistake.is_some(), is_wrong, "{line}: {mistake:?}");
    }
}
