//! One line of JSON a figure, and the table in `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

/// One measured figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: &'static str,
    /// The measured value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it is compared with, measured in the same run; `null` where there is nothing.
    pub baseline: Option<f64>,
    /// value / baseline.
    pub ratio: Option<f64>,
    /// The goal in words.
    pub target: &'static str,
    /// Whether the goal was met.
    pub met: bool,
}

/// Collects figures, printing each as it comes.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Adds a figure that is compared with a baseline.
    pub fn compared(
        &mut self,
        name: &'static str,
        (value, baseline, unit): (f64, f64, &'static str),
        target: &'static str,
        met: impl FnOnce(f64) -> bool,
    ) {
        let ratio = value / baseline;
        self.add(Figure {
            name,
            value: round(value),
            unit,
            baseline: Some(round(baseline)),
            ratio: Some(round(ratio)),
            target,
            met: met(ratio),
        });
    }

    /// Adds a figure that stands alone.
    pub fn plain(
        &mut self,
        name: &'static str,
        value: f64,
        unit: &'static str,
        target: &'static str,
        met: bool,
    ) {
        self.add(Figure {
            name,
            value: round(value),
            unit,
            baseline: None,
            ratio: None,
            target,
            met,
        });
    }

    fn add(&mut self, figure: Figure) {
        println!("{}", serde_json::to_string(&figure).unwrap_or_default());
        self.figures.push(figure);
    }

    /// Writes the summary, with the machine it was measured on. Lines of the file about figures that
    /// this run did not measure stay where `keep` says so.
    pub fn write(&self, path: &Path, keep: impl Fn(&str) -> bool) -> std::io::Result<()> {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        let mut text = String::from(
            "# Benchmarks\n\nWritten by `make bench`, `make bench-nodes`, `make bench-gate` and `make bench-cri`. Each pair was measured\nside by side in one run, in alternating rounds, client and server on the same machine.\n\n",
        );
        let _ = writeln!(text, "Machine: {}.\n", machine());
        text.push_str(HEAD);
        let measured = |name: &str| self.figures.iter().any(|figure| figure.name == name);
        let table = before.split("\n## ").next().unwrap_or_default();
        for line in table.lines() {
            let name = line
                .strip_prefix("| ")
                .and_then(|row| row.split(" | ").next());
            if name.is_some_and(|name| is_figure(name) && !measured(name) && keep(name)) {
                let _ = writeln!(text, "{line}");
            }
        }
        for figure in &self.figures {
            let shown =
                |number: Option<f64>| number.map_or_else(|| "–".to_owned(), |n| n.to_string());
            let _ = writeln!(
                text,
                "| {} | {} | {}{BUILD} | {} | {} | {} | {} |",
                figure.name,
                figure.value,
                figure.unit,
                shown(figure.baseline),
                shown(figure.ratio),
                figure.target,
                if figure.met { "yes" } else { "**no**" },
            );
        }
        // What people wrote below the table.
        if let Some(below) = before.find("\n## ").and_then(|at| before.get(at..)) {
            text.push_str(below);
        }
        std::fs::write(path, text)
    }
}

/// Figures of a build that is not optimized say so.
const BUILD: &str = if cfg!(debug_assertions) {
    "; debug build"
} else {
    ""
};
const HEAD: &str = "| figure | value | unit | baseline | ratio | target | met |\n| --- | --- | --- | --- | --- | --- | --- |\n";

/// Whether a table's first cell names a figure: neither its head nor the line below.
fn is_figure(cell: &str) -> bool {
    cell != "figure" && !cell.starts_with('-')
}

fn round(number: f64) -> f64 {
    if number.abs() >= 100.0 {
        number.round()
    } else {
        (number * 1000.0).round() / 1000.0
    }
}

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            line.split_once(": ").map(|(_, model)| model.to_owned())
        })
        .unwrap_or_else(|| "unknown processor".to_owned());
    let memory = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let kib: u64 = text
                .lines()
                .next()?
                .split_whitespace()
                .nth(1)?
                .parse()
                .ok()?;
            Some(kib / 1024 / 1024)
        })
        .unwrap_or(0);
    format!("{model}, {cpus} logical cores, {memory} GiB of memory, Linux")
}
