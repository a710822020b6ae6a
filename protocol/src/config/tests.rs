use proptest::prelude::*;

use super::*;

fn text(lines: &[&str]) -> Vec<u8> {
    lines.join("\n").into_bytes()
}

/// A file with one item in its root.
fn with(item: &str) -> Vec<u8> {
    text(&["declare root", "{", item, "}"])
}

fn error(file: &[u8]) -> (usize, String, Problem) {
    let error = Folder::parse(file).unwrap_err();
    (error.line, error.key, error.problem)
}

#[test]
fn a_tree_is_written_as_the_stock_software_writes_it() {
    let mut root = Folder::new("root");
    root.set("Region", "");
    root.set("ConfigRevision", 7_u32);
    let hub = root.folder_mut("VirtualHUB").folder_mut("Größe 1");
    hub.set("packet_log", 1_u32);
    hub.set("PacketLogSwitchType", 4_u32);
    hub.set("Online", true);
    hub.set("CreatedTime", 5_000_000_000_u64);
    hub.set("Secret", b"\x00\xff".as_slice());
    hub.set("Nothing", Vec::new());
    hub.set("Note", "50$ \"a\\b\"\tc\r\nd");
    root.folder_mut("VirtualHUB").folder_mut("AA");
    let lines = [
        "\u{FEFF}# two lines",
        "",
        "declare root",
        "{",
        "\tuint ConfigRevision 7",
        "\tstring Region $",
        "",
        "\tdeclare VirtualHUB",
        "\t{",
        "\t\tdeclare AA",
        "\t\t{",
        "\t\t}",
        "\t\tdeclare Größe$201",
        "\t\t{",
        "\t\t\tuint64 CreatedTime 5000000000",
        "\t\t\tstring Note 50$24$20\"a\\b\"$09c$0D$0Ad",
        "\t\t\tbyte Nothing $",
        "\t\t\tbool Online true",
        "\t\t\tuint PacketLogSwitchType 4",
        "\t\t\tuint packet_log 1",
        "\t\t\tbyte Secret AP8=",
        "\t\t}",
        "\t}",
        "}",
        "",
    ];
    let written = root.to_text("# two lines\n\n");
    assert_eq!(written.as_str(), lines.join("\r\n"));
    assert_eq!(Folder::parse(written.as_bytes()), Ok(root));
}

#[test]
fn line_ends_marks_indents_and_comments_make_no_difference() {
    let plain = Folder::parse(&with("uint A 1")).unwrap();
    for file in [
        "declare root\r\n{\r\n\tuint A 1\r\n}\r\n",
        "\u{FEFF}# head\ndeclare root\n  {\n uint\t A   1  \n # remark\n}\n\n#end",
        "#\n\ndeclare ROOT\n{\nuint A 1\n}",
    ] {
        let read = Folder::parse(file.as_bytes()).unwrap();
        assert_eq!(read.uint("a"), plain.uint("A"), "{file:?}");
    }
}

#[test]
fn names_are_found_without_regard_to_case() {
    let file = text(&[
        "declare root",
        "{",
        "bool UseIt 1",
        "declare Users",
        "{",
        "declare bob",
        "{",
        "}",
        "}",
        "}",
    ]);
    let root = Folder::parse(&file).unwrap();
    assert_eq!(root.bool("useit"), Ok(Some(true)));
    let user = root
        .folder("USERS")
        .and_then(|users| users.folder("BOB"))
        .unwrap();
    assert_eq!((user.name(), user.line()), ("bob", 6));
    assert_eq!(user.bool("UseIt"), Ok(None));
}

#[test]
fn an_error_says_line_and_key() {
    for (item, key, problem) in [
        ("uint A 4294967296", "root/A", Problem::NotA(Kind::Uint)),
        ("uint A -1", "root/A", Problem::NotA(Kind::Uint)),
        ("uint A +1", "root/A", Problem::NotA(Kind::Uint)),
        ("uint64 A 1e3", "root/A", Problem::NotA(Kind::Uint64)),
        ("bool A maybe", "root/A", Problem::NotA(Kind::Bool)),
        ("byte A %%%", "root/A", Problem::NotA(Kind::Bytes)),
        ("string A a$2", "root/A", Problem::Escape),
        ("string A $zz", "root/A", Problem::Escape),
        ("string A $FF", "root/A", Problem::Escape),
        ("string A two words", "root/A", Problem::WordCount),
        ("string A", "root/A", Problem::WordCount),
        ("int A 1", "root", Problem::UnknownWord),
        ("declare", "root", Problem::WordCount),
        ("declare a b", "root/a", Problem::WordCount),
        ("declare a\nuint B 1", "root/a", Problem::NoBrace),
        ("uint A 1\nuint a 2", "root/a", Problem::Duplicate),
        ("{", "root", Problem::UnknownWord),
    ] {
        let line = 3 + item.matches('\n').count();
        assert_eq!(error(&with(item)), (line, key.into(), problem), "{item:?}");
    }
    let twice = text(&[
        "declare root",
        "{",
        "declare X",
        "{",
        "}",
        "declare x",
        "{",
        "}",
        "}",
    ]);
    assert_eq!(error(&twice), (6, "root/x".into(), Problem::Duplicate));
}

#[test]
fn a_file_that_is_none_is_refused_whole() {
    for (file, line, problem) in [
        (b"SEVPN_DB\x01\x02".as_slice(), 0, Problem::Binary),
        (b"", 1, Problem::Outside),
        (b"uint A 1", 1, Problem::Outside),
        (b"declare other\n{\n}", 1, Problem::Outside),
        (b"}", 1, Problem::Outside),
        (b"declare root", 1, Problem::NoBrace),
        (b"declare root\n{\nuint A 1\n", 4, Problem::Unclosed),
        (b"declare root\n{\n}\n}", 4, Problem::BehindTheEnd),
        (
            b"declare root\n{\n}\ndeclare root\n{\n}",
            4,
            Problem::BehindTheEnd,
        ),
        (b"declare root\n{\nstring A \xff\n}", 3, Problem::NotText),
        (b"d\0e\0c\0l\0", 1, Problem::UnknownWord),
    ] {
        let found = error(file);
        assert_eq!((found.0, found.2), (line, problem), "{file:?}");
    }
}

#[test]
fn depth_is_bounded() {
    let mut deep = "declare root\n{\n".to_owned();
    for _ in 0..100_000 {
        deep.push_str("declare a\n{\n");
    }
    assert_eq!(error(deep.as_bytes()).2, Problem::TooDeep);
}

#[test]
fn an_item_of_another_type_is_an_error_at_its_line() {
    let root = Folder::parse(&with("string Port 443")).unwrap();
    let wrong = root.uint("port").unwrap_err().within("root");
    assert_eq!(
        wrong.to_string(),
        "line 3: root/Port: has the type string, and must have the type uint"
    );
    assert_eq!(root.uint64("Missing"), Ok(None));
}

#[test]
fn nothing_that_is_shown_of_a_tree_has_a_value_in_it() {
    let root = Folder::parse(&with("string Password hunter2")).unwrap();
    let shown = format!("{root:?} {:?}", Folder::parse(&with("uint Password hunter2")));
    assert!(
        shown.contains("Password") && !shown.contains("hunter2"),
        "{shown}"
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u32>().prop_map(Value::Uint),
        any::<u64>().prop_map(Value::Uint64),
        any::<bool>().prop_map(Value::Bool),
        any::<String>().prop_map(Value::String),
        "[ -%\t\r\n$]{0,9}".prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
    ]
}

fn any_folder() -> impl Strategy<Value = Folder> {
    let items = || proptest::collection::vec((any::<String>(), any_value()), 0..6);
    let folder = |name: String, items: Vec<(String, Value)>, inner: Vec<Folder>| {
        let mut folder = Folder::new(name);
        for (name, value) in items {
            folder.set(&name, value);
        }
        inner.into_iter().for_each(|inner| folder.insert(inner));
        folder
    };
    let leaf = (any::<String>(), items()).prop_map(move |(name, items)| folder(name, items, Vec::new()));
    leaf.prop_recursive(4, 24, 4, move |inner| {
        (any::<String>(), items(), proptest::collection::vec(inner, 0..4))
            .prop_map(move |(name, items, inner)| folder(name, items, inner))
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(inner in proptest::collection::vec(any_folder(), 0..4)) {
        let mut root = Folder::new(ROOT);
        inner.into_iter().for_each(|inner| root.insert(inner));
        let written = root.to_text("# head");
        let read = Folder::parse(written.as_bytes());
        prop_assert_eq!(read.as_ref(), Ok(&root));
    }

    #[test]
    fn no_input_makes_it_panic(lines in proptest::collection::vec("(declare|uint|bool|string|byte|\\{|\\}|#)? ?[a$1]{0,3} ?[ -~]{0,9}", 0..12)) {
        let _ = Folder::parse(lines.join("\n").as_bytes());
    }
}
