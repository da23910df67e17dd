//! Every command in a block of code can be judged, or says why it is not run.

use super::page::Page;
use super::programs::Place;
use super::shell::calls;

/// Languages of blocks that have no commands.
const NO_COMMANDS: [&str; 10] =
    ["http", "ini", "json", "nginx", "rust", "rust,no_run", "sql", "text", "toml", "yaml"];

fn mistakes(page: &Page, judged: &mut usize) -> Vec<String> {
    let mut mistakes = Vec::new();
    for block in &page.blocks {
        let language = &*block.language;
        if NO_COMMANDS.contains(&language) {
            continue;
        }
        if !["", "console", "sh"].contains(&language) {
            mistakes.push(format!("a block of the unknown language {language:?}"));
        }
        let typed = block.typed();
        if typed.is_empty() {
            mistakes.push(format!("a block of {language:?} without a command:\n{}", block.text));
        }
        for line in typed {
            let calls = calls(&line.text).unwrap_or_else(|mistake| {
                mistakes.push(mistake);
                Vec::new()
            });
            for call in calls {
                *judged += 1;
                mistakes.extend(call.mistake(Place::Block));
                if !call.is_judged() && block.not_run.is_none() {
                    let program = &call.words[0];
                    mistakes.push(format!(
                        "`{}`: no test runs {program}: `<!-- not run: WHY -->` before the block",
                        line.text
                    ));
                }
            }
        }
        if block.not_run.as_ref().is_some_and(String::is_empty) {
            mistakes.push("a block that is not run, and does not say why".to_owned());
        }
    }
    mistakes
}

/// Commands in the text; words that only look like one are not taken for it.
fn mistakes_in_text(page: &Page) -> Vec<String> {
    let is_command = |code: &&String| {
        let mut words = code.split(' ');
        let is_ours = ["waybill", "make", "kubectl"].contains(&words.next().unwrap_or_default());
        // `waybill / load` is a dashboard.
        is_ours && words.next().is_some_and(|word| word.starts_with(|c: char| c.is_alphanumeric()))
    };
    let commands = page.inline.iter().filter(is_command);
    commands
        .flat_map(|code| {
            // What stands for something else: `IMAGE=…`, `--receipt FILE`.
            let is_placeholder = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase());
            let words = code.split(' ').filter(|word| !is_placeholder(word));
            let code = words.collect::<Vec<_>>().join(" ").replace('…', "x");
            calls(&code).map_or_else(
                |mistake| vec![mistake],
                |calls| calls.iter().filter_map(|call| call.mistake(Place::Text)).collect(),
            )
        })
        .collect()
}

#[test]
fn every_command_is_one_that_there_is() {
    let mut judged = 0;
    let mut all = Vec::new();
    for page in Page::all() {
        let mistakes = [mistakes(&page, &mut judged), mistakes_in_text(&page)].concat();
        all.extend(mistakes.into_iter().map(|mistake| format!("{}: {mistake}", page.path)));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    assert!(judged > 60, "{judged} calls were found");
}

#[test]
fn what_no_test_runs_must_say_so() {
    for (text, wrong) in [
        ("```console\n$ kubectl get pods\n```\n", 1),
        ("<!-- not run: wants a cluster -->\n```console\n$ kubectl get pods\n```\n", 0),
        ("<!-- not run: -->\n```console\n$ kubectl get pods\n```\n", 1),
        ("<!-- not run: wants a cluster -->\n```console\n$ kubectl get pods; make upp\n```\n", 1),
        ("```console\nmake up\n```\n", 1),
        ("```basic\n10 rem\n```\n", 2),
        ("    make up\n", 0),
        ("    cargo build\n", 1),
    ] {
        let page = Page::parse("docs/x.md".to_owned(), text);
        let mistakes = mistakes(&page, &mut 0);
        assert_eq!(mistakes.len(), wrong, "{text}{mistakes:#?}");
    }
}
