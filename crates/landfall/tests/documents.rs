//! The documents name tests that are there, and count what they list.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const CONFORMANCE: &str = "docs/conformance.md";

/// Where the tests stand that a name begins with. What is not here begins in `crates/landfall/src`.
const ROOTS: [(&str, &str); 11] = [
    ("dhcp", "crates/dhcp/tests"),
    ("wire", "crates/wire/tests"),
    ("sim", "crates/sim/tests"),
    ("net", "crates/net/tests"),
    ("hostile", "crates/hostile/tests"),
    ("lab", "crates/lab/tests"),
    ("crash", "crates/landfall/tests/crash"),
    ("daemon", "crates/landfall/tests/daemon"),
    ("e2e", "crates/landfall/tests/e2e"),
    ("release", "crates/landfall/tests/release"),
    ("vm", "crates/landfall/tests/vm"),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of tests and their modules in a document: lower-case paths between backticks.
fn names(document: &str) -> Vec<&str> {
    let quoted = document.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_name = |text: &&str| {
        let parts: Vec<&str> = text.split("::").collect();
        let harmless =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        parts.len() > 1 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(harmless))
    };
    quoted.filter(is_name).collect()
}

/// What a name stands for.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Test,
    Module,
    Nothing(String),
}

fn look_up(name: &str) -> Named {
    let mut parts = name.split("::").peekable();
    let root = ROOTS.iter().find(|(begin, _)| parts.peek() == Some(begin));
    let mut path = repository().join(root.map_or("crates/landfall/src", |(_, folder)| folder));
    if root.is_some() {
        parts.next();
    }
    while let Some(part) = parts.next_if(|part| path.join(part).is_dir()) {
        path.push(part);
    }
    let Some(part) = parts.next() else { return Named::Module };
    let file = path.join(part).with_extension("rs");
    let Ok(source) = fs::read_to_string(&file) else {
        return Named::Nothing(format!("there is no {}", file.display()));
    };
    match (parts.next(), parts.next()) {
        (None, _) => Named::Module,
        (Some(test), None) if is_test(&source, test) => Named::Test,
        _ => Named::Nothing(format!("{} has no such test", file.display())),
    }
}

/// Whether `source` has a function of that name with the attribute of a test.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let function = format!("fn {name}(");
    lines.iter().enumerate().any(|(number, line)| {
        let before = lines[..number].iter().rev();
        let mut attributes =
            before.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        line.trim_start_matches("async ").starts_with(&function)
            && attributes
                .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn the_tests_that_documents_name_exist() {
    let mut named = 0;
    for document in ["SPECIFICATION.md", "ARCHITECTURE.md", "docs/moving-over.md", CONFORMANCE] {
        let text = read(document);
        for name in names(&text) {
            named += 1;
            if let Named::Nothing(why) = look_up(name) {
                panic!("{document} names `{name}`, and {why}");
            }
        }
    }
    assert!(named > 200, "only {named} names found: are they still written in the same way?");
}

#[test]
fn a_name_that_is_wrong_is_noticed() {
    assert_eq!(
        look_up("dhcp::v4::keep::t1_renews_by_unicast_from_the_leased_address"),
        Named::Test
    );
    assert_eq!(look_up("docker::tests::hostile"), Named::Module);
    for wrong in [
        "dhcp::v4::keep::no_such_test",
        "dhcp::v4::no_such_module::no_such_test",
        "daemon::no_such_module",
        // Functions that are no tests.
        "dhcp::v4::keep::t1",
        "daemon::site::eventually",
        // A test's name goes on.
        "dhcp::v4::keep::t1_renews_by_unicast",
    ] {
        assert!(matches!(look_up(wrong), Named::Nothing(_)), "{wrong}");
    }
    let text = "`dhcp::v4::Client` and `net::Link`, `a::b`, ``, `dhcp::`\n`c::d` e`f`";
    assert_eq!(names(text), ["a::b", "c::d"]);
}

/// The cells of a line of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
    Some(inner.split(" | ").map(str::trim).collect())
}

#[test]
fn the_conformance_tables_say_what_they_must_and_add_up() {
    const WORDS: [&str; 6] = ["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "must", "should"];
    const VERDICTS: [&str; 3] = ["kept", "not applicable", "not kept"];
    let text = read(CONFORMANCE);
    let mut promised = BTreeMap::new();
    let mut counted = BTreeMap::new();
    let mut rfc = None;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## RFC ") {
            rfc = heading.split(',').next();
            continue;
        }
        let Some(cells) = cells(line) else { continue };
        match (rfc, cells.as_slice()) {
            (None, [number, sums @ ..]) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                let sums: Vec<usize> = sums.iter().map(|sum| sum.parse().unwrap()).collect();
                promised.insert(*number, sums);
            }
            (Some(_), ["§", ..]) => {}
            (Some(number), [section, word, requirement, verdict, why]) => {
                let row = format!("RFC {number} §{section}, {word}: {requirement}");
                assert!(WORDS.contains(&word.trim_end_matches(" not")), "{row}: the word");
                let place = VERDICTS.iter().position(|known| known == verdict);
                let place = place.unwrap_or_else(|| panic!("{row}: {verdict:?}"));
                counted.entry(number).or_insert_with(|| vec![0; VERDICTS.len()])[place] += 1;
                if place == 0 {
                    let tests = names(why).into_iter().filter(|name| look_up(name) == Named::Test);
                    assert!(tests.count() > 0, "{row}: kept, but no test shows it");
                } else {
                    assert!(why.len() > 5, "{row}: why?");
                }
            }
            (_, other) => assert_eq!(rfc, None, "a row of {} cells: {line}", other.len()),
        }
    }
    assert_eq!(promised, counted, "the sums at the top, and those of the rows");
}

/// Each entry of the page begins with words that a test has seen Landfall print.
#[test]
fn what_the_troubleshooting_page_explains_is_printed() {
    let mut tests = String::new();
    let mut folders = vec![repository().join("crates/landfall/tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(rust) if rust == "rs" => tests += &fs::read_to_string(path).unwrap(),
                _ => {}
            }
        }
    }
    let page = read("docs/troubleshooting.md");
    let of_line = |line: &str| {
        let quoted = line.strip_prefix("## `").or_else(|| line.strip_prefix("- **`"))?;
        quoted.split('`').next().map(str::to_owned)
    };
    let explained: Vec<String> = page.lines().filter_map(of_line).collect();
    assert!(explained.len() > 15, "{explained:?}");
    for words in explained {
        assert!(tests.contains(&words), "no test has seen Landfall print {words:?}");
    }
}

/// A figure that is yet to be measured does not stand where it was to be put.
#[test]
fn no_document_has_a_gap() {
    for name in ["README.md", "ARCHITECTURE.md", "SPECIFICATION.md", "CHANGELOG.md"] {
        let text = fs::read_to_string(repository().join(name)).unwrap();
        let is_gap = |word: &str| word.len() > 2 && word.bytes().all(|b| b.is_ascii_uppercase());
        let gaps: Vec<&str> = text.split('@').skip(1).step_by(2).filter(|it| is_gap(it)).collect();
        assert_eq!(gaps, [""; 0], "{name}");
    }
}
