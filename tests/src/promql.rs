//! The part of PromQL that the dashboard's queries are written in, so that they can be run against a
//! page of metrics as it was served.
//!
//! Shape:  [`parse`] gives an expression, [`Expression::value`] its value over two pages of the same
//!         process: counters grow from the first to the second.
//! Errors: what the page does not have is an error, not an empty answer: a metric, a label that a
//!         query matches or groups by. So is every word of PromQL that is not known here.

mod parse;
mod value;

use std::collections::BTreeMap;

use anyhow::Context as _;

pub use parse::parse;

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A number.
    Number(f64),
    /// Series of a metric.
    Series(Selector),
    /// How much a counter grew.
    Growth {
        /// `rate` divides by the time.
        a_second: bool,
        /// Which counter.
        of: Selector,
    },
    /// Seconds since 1970.
    Time,
    /// `sum by (…) (…)`.
    Sum {
        /// The labels that are left.
        by: Vec<String>,
        /// What is added up.
        of: Box<Expression>,
    },
    /// The largest ones.
    Top(usize, Box<Expression>),
    /// `histogram_quantile`.
    Quantile(f64, Box<Expression>),
    /// Two sides of `+`, `-`, `*` or `/`.
    Both(char, Box<Expression>, Box<Expression>),
}

/// Which series.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// The metric's name.
    pub metric: String,
    /// Label, operator and value.
    pub matchers: Vec<(String, String, String)>,
}

/// The labels of a series.
pub type Labels = BTreeMap<String, String>;

/// A page of metrics, as samples.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// When it was read, in seconds since 1970.
    pub at: f64,
    /// Name, labels and value.
    pub samples: Vec<(String, Labels, f64)>,
}

impl Page {
    /// Reads a page, and adds the label `instance` that Prometheus adds.
    pub fn parse(text: &str, at: f64) -> anyhow::Result<Self> {
        let mut samples = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').context("a sample has a value")?;
            let (name, inside) = match series.split_once('{') {
                Some((name, rest)) => (name, rest.strip_suffix('}').context("a brace is open")?),
                None => (series, ""),
            };
            let mut labels = Labels::from([("instance".to_owned(), "machine".to_owned())]);
            for pair in inside.split(',').filter(|pair| !pair.is_empty()) {
                let (label, value) = pair.split_once('=').context("a label has a value")?;
                labels.insert(label.to_owned(), value.trim_matches('"').to_owned());
            }
            samples.push((name.to_owned(), labels, value.parse()?));
        }
        Ok(Self { at, samples })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE calls counter\ncalls_total{method=\"a\",code=\"OK\"} 1\ncalls_total{method=\"b\",code=\"OK\"} 5\nexpiry 700\nt_bucket{le=\"0.1\"} 0\nt_bucket{le=\"+Inf\"} 0\n";
    const AFTER: &str = "calls_total{method=\"a\",code=\"OK\"} 21\ncalls_total{method=\"b\",code=\"OK\"} 6\nexpiry 700\nt_bucket{le=\"0.1\"} 9\nt_bucket{le=\"+Inf\"} 10\n";

    fn ask(query: &str) -> anyhow::Result<Vec<(Labels, f64)>> {
        let pages = [Page::parse(BEFORE, 100.0)?, Page::parse(AFTER, 110.0)?];
        parse(query)?.value(&pages)
    }

    fn numbers(query: &str) -> Vec<f64> {
        ask(query).unwrap().into_iter().map(|(_, n)| n).collect()
    }

    #[test]
    fn queries_of_the_kinds_in_use_have_values() {
        for (query, expected) in [
            ("expiry{instance=~\".*\"} - time()", vec![590.0]),
            ("time() - expiry", vec![-590.0]),
            ("expiry / 1e2", vec![7.0]),
            (
                "sum by (method) (rate(calls_total{code=\"OK\"}[1m]))",
                vec![2.0, 0.1],
            ),
            ("topk(1, increase(calls_total[1m]))", vec![20.0]),
            (
                "histogram_quantile(0.5, sum by (le) (rate(t_bucket[1m])))",
                vec![0.1],
            ),
            (
                "sum by (code) (rate(calls_total{code!=\"OK\"}[1m]))",
                vec![],
            ),
        ] {
            assert_eq!(numbers(query), expected, "{query}");
        }
    }

    #[test]
    fn what_the_page_does_not_have_is_an_error() {
        for query in [
            "call_total",
            "calls_total{pod=\"a\"}",
            "calls_total{method=\"c\"}",
            "sum by (pod) (calls_total)",
            "histogram_quantile(0.5, calls_total)",
        ] {
            assert!(ask(query).is_err(), "{query}");
        }
    }

    #[test]
    fn what_is_no_query_is_an_error() {
        for query in [
            "",
            "a b",
            "rate(a)",
            "a{b}",
            "wat(a)",
            "sum by (a",
            "a{b=\"c\"",
            "(a",
        ] {
            assert!(parse(query).is_err(), "{query}");
        }
    }
}
