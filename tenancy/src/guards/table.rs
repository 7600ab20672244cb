//! The guards as a table for people.

use std::fmt::Write;

use super::guard::{Guard, On};
use super::{GuardSettings, all};

/// A Markdown table of all guards; `docs/guards.md` holds it.
#[must_use]
pub fn table() -> String {
    let mut text = String::from(
        "| guard | on | for whom | what is refused | why |\n| --- | --- | --- | --- | --- |\n",
    );
    for guard in all(&GuardSettings::default()) {
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            guard.name,
            on(&guard),
            guard.whom,
            guard.refuses,
            guard.why,
        );
    }
    text
}

fn on(guard: &Guard) -> String {
    let rules: Vec<_> = guard.on.iter().map(rule).collect();
    rules.join("; ")
}

fn rule(on: &On) -> String {
    let group = match on.group {
        "" => String::new(),
        group => format!(" of `{group}`"),
    };
    let resources: Vec<_> = on
        .resources
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let operations = on.operations.join(", ").to_ascii_lowercase();
    format!("{operations}: {}{group}", resources.join(", "))
}
