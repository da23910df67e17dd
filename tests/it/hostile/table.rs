//! What may be published to the channel, and what must become of it.
//!
//! One table for the unit tests of `order` and for the tests of the whole service.

/// The size limit the table is made for: the default of `ingest.max_message_bytes`.
pub(crate) const MAX_BYTES: usize = 256 * 1024;

/// One message and its fate.
pub(crate) struct Case {
    /// What is special about it.
    pub(crate) name: &'static str,
    /// The message as it is published.
    pub(crate) payload: Vec<u8>,
    /// What must become of it.
    pub(crate) expected: Expected,
    /// A part of the detail, if it is refused.
    pub(crate) detail: &'static str,
}

/// What must become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It is an order and is served as it is; every such case has an id of its own.
    Stored,
    /// It is kept as a reject, for this reason.
    Refused(&'static str),
}

const MODEL: &str = include_str!("../../../data/model.json");
const MODEL_UID: &str = "b563feb7b2b84b6test";

/// Every case.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = edits();
    cases.extend(valid());
    cases.extend(not_an_object_of_json());
    cases.extend(not_text());
    cases.extend(too_much());
    cases
}

/// The cases of `edits.txt`.
fn edits() -> Vec<Case> {
    include_str!("edits.txt")
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let (head, edit) = line.rsplit_once(" | ").expect(line);
            let [expected, detail, name] = head.splitn(3, '|').collect::<Vec<_>>()[..] else {
                panic!("three columns and an edit, please: {line}");
            };
            let stored = expected.trim() == "stored";
            let order = if stored { order(&format!("hostile-{number}")) } else { MODEL.to_owned() };
            let (from, to) = edit.split_once("=>").expect(line);
            let (from, to) = (from.trim(), to.trim());
            Case {
                name: name.trim(),
                payload: match from {
                    "" => and(&order, to),
                    _ => with(&order, from, to),
                },
                expected: if stored {
                    Expected::Stored
                } else {
                    Expected::Refused(expected.trim())
                },
                detail: detail.trim(),
            }
        })
        .collect()
}

/// The model under another id.
fn order(uid: &str) -> String {
    MODEL.replacen(MODEL_UID, uid, 1)
}

/// `order` with another text in place of `from`, which must be there.
fn with(order: &str, from: &str, to: &str) -> Vec<u8> {
    assert!(order.contains(from), "{from} is not in the order");
    order.replacen(from, to, 1).into()
}

/// `order` with members added at its end.
fn and(order: &str, members: &str) -> Vec<u8> {
    let end = order.rfind('}').expect("an order ends with a brace");
    format!("{},{members}}}", &order[..end]).into()
}

/// `order` with blanks after it, so that it has `size_bytes` bytes.
fn padded(order: &str, size_bytes: usize) -> Vec<u8> {
    let mut payload = Vec::from(order);
    payload.resize(size_bytes, b' ');
    payload
}

/// A value in `levels` arrays.
fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

/// `order` with other items in place of its own.
fn with_items(order: &str, items: &str) -> Vec<u8> {
    let start = order.find('[').expect("the model has items");
    let end = order.find(']').expect("the model has items");
    format!("{}{items}{}", &order[..start], &order[end + 1..]).into()
}

fn valid() -> impl Iterator<Item = Case> {
    type Make = fn(&str) -> Vec<u8>;
    let cases: [(&str, Make); 13] = [
        ("blanks around it", |order| format!(" \t\r\n{order}\n\r\t ").into()),
        ("no blanks", |order| order.replace(['\n', ' '], "").into()),
        ("line ends of Windows", |order| order.replace('\n', "\r\n").into()),
        ("the very size limit", |order| padded(order, MAX_BYTES)),
        ("no items", |order| with_items(order, "[ ]")),
        ("unknown fields everywhere", |order| {
            order.replace('{', "{\"x\":[1,{\"y\":null}],").into()
        }),
        ("the deepest nesting that is allowed", |order| {
            and(order, &format!("\"x\":{}", nested(31)))
        }),
        ("many brackets in a string", |order| and(order, &format!("\"x\":\"{}\"", nested(10_000)))),
        ("many siblings at the deepest level", |order| {
            and(order, &format!("\"x\":[{}[]]", "[],".repeat(10_000)))
        }),
        ("thousands of unknown fields", |order| {
            let members: Vec<_> = (0..20_000).map(|n| format!("\"k{n}\":1")).collect();
            and(order, &members.join(","))
        }),
        ("a very long string", |order| with(order, "Ploshad Mira 15", &"é".repeat(100_000))),
        ("an id of 128 characters", |order| {
            let uid: String = order.split('"').nth(3).expect("an id").into();
            with(order, &uid, &format!("{uid:~<128}"))
        }),
        ("the fields in another order", |order| {
            let order = order.replacen("\"entry\": \"WBIL\",", "", 1);
            and(&order, "\"entry\":\"WBIL\"")
        }),
    ];
    let model = Case {
        name: "the model as it is",
        payload: MODEL.into(),
        expected: Expected::Stored,
        detail: "",
    };
    let made = cases.into_iter().enumerate().map(|(number, (name, make))| Case {
        name,
        payload: make(&order(&format!("hostile-made-{number}"))),
        expected: Expected::Stored,
        detail: "",
    });
    std::iter::once(model).chain(made)
}

fn refused(
    reason: &'static str,
    detail: &'static str,
    name: &'static str,
    payload: impl Into<Vec<u8>>,
) -> Case {
    Case { name, payload: payload.into(), expected: Expected::Refused(reason), detail }
}

fn not_an_object_of_json() -> Vec<Case> {
    let no_object = |found, name, payload: &str| refused("not_an_object", found, name, payload);
    let no_json = |found, name, payload: &str| refused("not_json", found, name, payload);
    let trailing = |found, name, tail: &str| {
        let payload = MODEL.to_owned() + tail;
        refused("trailing_data", found, name, payload)
    };
    let quoted = MODEL.replace('"', "\\\"").replace('\n', "\\n");
    let values = r#"["x","t","e",{},{},[],"","","","","",1,"2021-11-26T06:22:19Z",""]"#;
    vec![
        refused("empty", "found nothing", "nothing", ""),
        refused("empty", "found nothing", "blanks only", " \t\r\n"),
        no_object("found null", "null", "null"),
        no_object("found a boolean", "true", "true"),
        no_object("found a number", "a number", "42"),
        no_object("found a string", "a string", "\"order\""),
        no_object("found a string", "an order in a string", &format!("\"{quoted}\"")),
        no_object("found an array", "an empty array", "[]"),
        no_object("found an array", "the values of an order in an array", values),
        no_object("found an array", "an order in an array", &format!("[{MODEL}]")),
        no_json("a JSON value, found 'h' at byte 0", "words", "hello"),
        no_json("found '<'", "a web page", "<!doctype html><title>502</title>"),
        no_json("found '<'", "XML", "<?xml version=\"1.0\"?><order/>"),
        no_json("found 'o'", "YAML", "order_uid: x\n"),
        no_json("found 'N'", "not a number", "NaN"),
        no_json(r"found '\u{0}'", "a NUL byte", "\0"),
        no_json(r"found '\u{0}'", "a NUL byte before it", &format!("\0{MODEL}")),
        no_json(
            "found a byte order mark at byte 0",
            "a byte order mark",
            &format!("\u{feff}{MODEL}"),
        ),
        no_json(r"found '\u{a0}'", "a blank that JSON does not know", &format!("\u{a0}{MODEL}")),
        no_json(r"found '\u{8}'", "a frame of protobuf", "\u{8}\u{1}\u{12}\u{6}orders"),
        no_json("found the end at byte 1", "a brace", "{"),
        no_json("found the end", "an order cut in the middle", &MODEL[..MODEL.len() / 2]),
        no_json("a closing brace, found the end", "no last brace", MODEL.trim_end_matches('}')),
        no_json(r"found '\u{0}'", "a raw NUL in a string", &MODEL.replace("Testov", "\0")),
        no_json(r"found '\n'", "a raw line end in a string", &MODEL.replace("Testov", "\n")),
        no_json(r"found '\t'", "a raw tab in a string", &MODEL.replace("Testov", "\t")),
        trailing("found '{' at byte 1101", "two orders", MODEL),
        trailing("found '{'", "orders line by line", &format!("\n{MODEL}\n")),
        trailing("found ','", "a comma after it", ","),
        trailing("found '}'", "a brace too many", "}"),
        trailing("found '/'", "a comment after it", "//"),
        trailing(r"found '\u{0}'", "a NUL byte after it", "\0"),
        refused("missing_field", "at /order_uid: missing", "an empty object", "{}"),
    ]
}

fn not_text() -> Vec<Case> {
    let with_bytes = |name, bytes: &[u8]| {
        let start = MODEL.find("Test Testov").expect("the model has a name");
        let mut payload = MODEL.as_bytes().to_vec();
        payload.splice(start..start + 4, bytes.iter().copied());
        refused("not_utf8", "not UTF-8 from byte", name, payload)
    };
    let utf16: Vec<u8> = MODEL.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16_with_mark = [b"\xff\xfe", &utf16[..]].concat();
    vec![
        with_bytes("a byte that is never UTF-8", b"\xff"),
        with_bytes("a letter of Latin-1", b"\xe9"),
        with_bytes("an overlong slash", b"\xc0\xaf"),
        with_bytes("a surrogate in UTF-8", b"\xed\xa0\x80"),
        with_bytes("a code above U+10FFFF", b"\xf4\x90\x80\x80"),
        refused("not_utf8", "from byte 1", "gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        refused("not_utf8", "from byte 0", "UTF-16 with its mark", utf16_with_mark),
        refused("not_json", r"found '\u{0}' at byte 1", "UTF-16", utf16),
    ]
}

fn too_much() -> Vec<Case> {
    let digits = "9".repeat(100_000);
    let long = "a".repeat(100_000);
    let chain = "{\"x\":".repeat(40_000);
    let deep = format!("\"x\":{}", nested(32));
    let very_deep = format!("\"x\":{}", nested(100_000));
    vec![
        refused(
            "too_large",
            "262145 bytes, must be at most 262144",
            "a byte too many",
            padded(MODEL, MAX_BYTES + 1),
        ),
        refused("too_large", "at most", "a million brackets", nested(1_000_000)),
        refused(
            "too_deep",
            "must be at most 32",
            "thousands of open brackets",
            "[".repeat(100_000),
        ),
        refused("too_deep", "at /x/x/x", "a long chain of objects", chain),
        refused("too_deep", "at /x/0/0", "a level too deep", and(MODEL, &deep)),
        refused("too_deep", "at /x/0/0", "thousands of levels", and(MODEL, &very_deep)),
        refused(
            "number_out_of_range",
            "at /payment/amount",
            "an integer of 100,000 digits",
            with(MODEL, "1817", &digits),
        ),
        refused(
            "illegal_uid",
            "more than 128 characters",
            "an id of 129 characters",
            with(MODEL, MODEL_UID, &long[..129]),
        ),
        refused(
            "illegal_uid",
            "more than 128 characters",
            "an id of 100,000 characters",
            with(MODEL, MODEL_UID, &long),
        ),
    ]
}
