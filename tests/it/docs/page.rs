//! Pages of Markdown, and what of them can be checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Begins the comment before a block whose commands no test can run; the reason follows.
const NOT_RUN: &str = "<!-- not run: ";

/// A page of Markdown.
#[derive(Default)]
pub(super) struct Page {
    /// From the root of the repository.
    pub(super) path: String,
    /// Where its links and pictures lead, as written.
    pub(super) links: Vec<String>,
    /// Pictures that say nothing to those who do not see them.
    pub(super) without_text: Vec<String>,
    /// Its headings, as links name them.
    pub(super) anchors: BTreeSet<String>,
    pub(super) blocks: Vec<Block>,
    /// What stands between backticks in a line.
    pub(super) inline: Vec<String>,
}

/// A block of code.
pub(super) struct Block {
    /// What stands behind its fence; nothing of a block that is indented.
    pub(super) language: String,
    pub(super) text: String,
    /// Why its commands are not run, if a comment before it says so.
    pub(super) not_run: Option<String>,
}

/// What is being read.
#[derive(Default)]
struct Open {
    heading: Option<String>,
    /// Where a picture is, and what is said of it.
    picture: Option<(String, String)>,
    block: Option<Block>,
    /// What the comment just read says.
    not_run: Option<String>,
}

impl Open {
    fn add(&mut self, text: &str) {
        let block = self.block.as_mut().map(|block| &mut block.text);
        let picture = self.picture.as_mut().map(|(_, said)| said);
        for into in [block, self.heading.as_mut(), picture].into_iter().flatten() {
            into.push_str(text);
        }
    }
}

/// A file or folder of the repository.
pub(super) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Page {
    /// Every page that is checked.
    pub(super) fn all() -> Vec<Self> {
        let mut paths = Vec::new();
        for path in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "RELEASING.md", "SECURITY.md"]
        {
            paths.push(path.to_owned());
        }
        for folder in ["docs", "crates", "charts", "k8s", "mutants", "load"] {
            markdown(folder, &mut paths);
        }
        paths.into_iter().map(Self::read).collect()
    }

    pub(super) fn read(path: String) -> Self {
        let text = std::fs::read_to_string(repository(&path)).expect(&path);
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: String, text: &str) -> Self {
        let mut page = Self { path, ..Self::default() };
        let mut open = Open::default();
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(tag) => page.begin(tag, &mut open),
                Event::End(tag) => page.end(tag, &mut open),
                Event::Text(text) => open.add(&text),
                Event::Code(code) => {
                    open.add(&code);
                    page.inline.push(code.into_string());
                }
                Event::InlineHtml(html) => page.add_tag(&html),
                Event::Html(html) => {
                    page.add_tag(&html);
                    let reason = html.trim().strip_prefix(NOT_RUN);
                    open.not_run =
                        reason.map(|text| text.trim_end_matches("-->").trim().to_owned());
                }
                _ => {}
            }
        }
        page
    }

    fn begin(&mut self, tag: Tag<'_>, open: &mut Open) {
        match tag {
            // Of which a comment is one.
            Tag::HtmlBlock => return,
            Tag::CodeBlock(kind) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.into_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                let (text, not_run) = (String::new(), open.not_run.take());
                open.block = Some(Block { language, text, not_run });
            }
            Tag::Heading { .. } => open.heading = Some(String::new()),
            Tag::Link { dest_url, .. } => self.links.push(dest_url.into_string()),
            Tag::Image { dest_url, .. } => {
                self.links.push(dest_url.to_string());
                open.picture = Some((dest_url.into_string(), String::new()));
            }
            _ => {}
        }
        // A comment further up was about something else.
        open.not_run = None;
    }

    fn end(&mut self, tag: TagEnd, open: &mut Open) {
        match tag {
            TagEnd::CodeBlock => self.blocks.extend(open.block.take()),
            TagEnd::Heading(_) => self.add_heading(&open.heading.take().expect("begun")),
            TagEnd::Image => {
                let (url, said) = open.picture.take().expect("begun");
                if said.trim().is_empty() {
                    self.without_text.push(url);
                }
            }
            _ => {}
        }
    }

    /// What a line of HTML links to or shows.
    fn add_tag(&mut self, html: &str) {
        let value = |tag: &str, name: &str| {
            let (_, behind) = tag.split_once(&format!("{name}=\""))?;
            behind.split_once('"').map(|(value, _)| value.to_owned())
        };
        for tag in html.split('<').skip(1) {
            self.links.extend(["href", "src"].iter().filter_map(|name| value(tag, name)));
            if tag.starts_with("img ") && value(tag, "alt").is_none_or(|said| said.is_empty()) {
                self.without_text.extend(value(tag, "src"));
            }
        }
    }

    /// GitHub's anchor of a heading: small letters, digits, `-` and `_`, blanks as `-`; a number
    /// behind one that was there before.
    fn add_heading(&mut self, heading: &str) {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        let anchor = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone())
            .chain(numbered)
            .find(|anchor| !self.anchors.contains(anchor));
        self.anchors.extend(free);
    }
}

/// The pages in a folder and below, but not those of what was built.
fn markdown(folder: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(repository(folder)).expect(folder) {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let path = format!("{folder}/{name}");
        if name != "target" && repository(&path).is_dir() {
            markdown(&path, found);
        } else if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
}

#[test]
fn a_page_is_read_with_all_that_is_checked() {
    let page = Page::parse(
        "docs/x.md".to_owned(),
        "# `make up` – twice!\n\n## A\n## A\n[a](b.md#c) ![](d.png)\n\n<!-- not run: why -->\n\
         ```console\n$ x\n```\n\n<!-- not run: lost -->\ntext `y` <a href=\"e\">\n\n    indented\n\n\
         <p><img src=\"f.png\"></p>\n",
    );
    assert_eq!(Vec::from_iter(&page.anchors), ["a", "a-1", "make-up--twice"]);
    assert_eq!(page.links, ["b.md#c", "d.png", "e", "f.png"]);
    assert_eq!(page.without_text, ["d.png", "f.png"]);
    assert_eq!(page.inline, ["make up", "y"]);
    let blocks = page.blocks.iter().map(|b| (&*b.language, &*b.text, b.not_run.as_deref()));
    let expected = [("console", "$ x\n", Some("why")), ("", "indented\n", None)];
    assert_eq!(blocks.collect::<Vec<_>>(), expected);
}
