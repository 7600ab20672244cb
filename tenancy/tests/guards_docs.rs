//! The table of guards in `docs/guards.md` is that of the code.
//!
//! To write it anew: `UPDATE_DOCS=1 cargo test -p tenancy --test guards_docs`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use tenancy::guards::{GuardSettings, all, table};

const BEGIN: &str = "<!-- guards: begin (written by a test) -->\n";
const END: &str = "<!-- guards: end -->\n";

#[test]
fn the_document_holds_the_table_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guards.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert!(
            text == wanted,
            "docs/guards.md is stale: run this test with UPDATE_DOCS=1"
        );
    }
}

#[test]
fn every_guard_is_in_the_table_on_a_line_of_its_own() {
    let table = table();
    let guards = all(&GuardSettings::default());
    assert_eq!(table.lines().count(), guards.len() + 2);
    for guard in guards {
        let row = format!("| `{}` |", guard.name);
        assert_eq!(
            table.lines().filter(|line| line.starts_with(&row)).count(),
            1
        );
        assert!(!guard.refuses.is_empty() && !guard.why.is_empty() && !guard.whom.is_empty());
    }
}
