//! How a command's answer is written: for people by default, as JSON or YAML for scripts.
//!
//! Answers go to standard output, everything else (progress, warnings, errors) to standard error.

use std::io::Write;

use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::{Failure, Kind, Outcome};

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    #[value(alias = "table")]
    Human,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

/// Writes `answer` in the form that was asked for; `human` makes the text for people.
pub fn print<T: Serialize>(
    format: Format,
    answer: &T,
    human: impl FnOnce(&T) -> String,
) -> Outcome {
    let text = match format {
        Format::Human => human(answer),
        Format::Json => serde_json::to_string_pretty(answer).map_err(unwritable)?,
        Format::Yaml => serde_yaml_ng::to_string(answer).map_err(unwritable)?,
    };
    line(text.trim_end_matches('\n'))
}

/// Writes one line (or several) to standard output. A closed pipe is no failure.
pub fn line(text: &str) -> Outcome {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(unwritable(error)),
        Ok(()) => Ok(()),
    }
}

/// Writes one line for people to standard error.
pub fn say(text: &str) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A warning on standard error.
pub fn warn(text: &str) {
    say(&format!("warning: {text}"));
}

/// A table of names and values, without lines around it.
pub fn facts<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for (name, value) in rows {
        table.add_row([Cell::new(name), Cell::new(value)]);
    }
    trimmed(&table)
}

/// A table with a heading.
pub fn table<const N: usize>(heading: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(heading);
    for row in rows {
        table.add_row(row);
    }
    trimmed(&table)
}

fn trimmed(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|l| l.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn unwritable(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Kind::Failed, error).context("the answer can't be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_aligned_and_have_no_trailing_blanks() {
        let text = facts([
            ("tier", "viewer".to_owned()),
            ("stake", "0.5 SUI".to_owned()),
        ]);
        assert_eq!(text, " tier   viewer\n stake  0.5 SUI");
    }
}
