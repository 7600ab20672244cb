//! What a query gives over two pages.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};

use super::{Expression, Labels, Page, Selector};

type Vector = Vec<(Labels, f64)>;

impl Expression {
    /// Its value at the second page; a number without series has no labels.
    pub fn value(&self, pages: &[Page; 2]) -> anyhow::Result<Vector> {
        let [before, after] = pages;
        match self {
            Self::Number(number) => Ok(vec![(Labels::new(), *number)]),
            Self::Time => Ok(vec![(Labels::new(), after.at)]),
            Self::Series(selector) => selector.series(after),
            Self::Growth { a_second, of } => {
                let over = if *a_second { after.at - before.at } else { 1.0 };
                // A series may begin between the two.
                let first = of.series(before).unwrap_or_default();
                let grown = of.series(after)?.into_iter().map(|(labels, value)| {
                    let from = first.iter().find(|(of, _)| *of == labels);
                    let from = from.map_or(0.0, |(_, from)| *from);
                    (labels, (value - from) / over)
                });
                Ok(grown.collect())
            }
            Self::Sum { by, of } => summed(by, of.value(pages)?),
            Self::Top(count, of) => {
                let mut all = of.value(pages)?;
                all.sort_by(|(_, a), (_, b)| b.total_cmp(a));
                all.truncate(*count);
                Ok(all)
            }
            Self::Quantile(share, of) => quantiles(*share, of.value(pages)?),
            Self::Both(sign, left, right) => both(*sign, left.value(pages)?, right.value(pages)?),
        }
    }
}

impl Selector {
    /// The series of a page. None at all is an error, unless it is asked for what is not usual.
    fn series(&self, page: &Page) -> anyhow::Result<Vector> {
        let metric = &self.metric;
        let of: Vector = page
            .samples
            .iter()
            .filter(|(name, ..)| name == metric)
            .map(|(_, labels, value)| (labels.clone(), *value))
            .collect();
        ensure!(!of.is_empty(), "the page has no {metric}");
        for (label, ..) in &self.matchers {
            let known = of.iter().any(|(labels, _)| labels.contains_key(label));
            ensure!(known, "{metric} has no label {label}");
        }
        let found: Vector = of.into_iter().filter(|(of, _)| self.matches(of)).collect();
        let unusual = self
            .matchers
            .iter()
            .any(|(_, sign, _)| sign.starts_with('!'));
        ensure!(unusual || !found.is_empty(), "no {metric} matches");
        Ok(found)
    }

    fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|(label, sign, value)| {
            let found = labels.get(label).map_or("", String::as_str);
            let alike = if sign.ends_with('~') {
                value == ".*" || value.split('|').any(|one| one == found)
            } else {
                value == found
            };
            alike != sign.starts_with('!')
        })
    }
}

fn summed(by: &[String], of: Vector) -> anyhow::Result<Vector> {
    let mut sums: BTreeMap<Labels, f64> = BTreeMap::new();
    for (labels, value) in of {
        let left = by.iter().map(|label| {
            let value = labels.get(label);
            let value = value.with_context(|| format!("there is no label {label}: {labels:?}"))?;
            anyhow::Ok((label.clone(), value.clone()))
        });
        *sums.entry(left.collect::<Result<_, _>>()?).or_default() += value;
    }
    Ok(sums.into_iter().collect())
}

/// The upper bound of the bucket that a share of the observations is within.
fn quantiles(share: f64, buckets: Vector) -> anyhow::Result<Vector> {
    let mut histograms: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (mut labels, count) in buckets {
        let bound = labels.remove("le").context("these are no buckets")?;
        let bound = if bound == "+Inf" {
            f64::INFINITY
        } else {
            bound.parse()?
        };
        histograms.entry(labels).or_default().push((bound, count));
    }
    let of = histograms.into_iter().map(|(labels, mut buckets)| {
        buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let all = buckets.last().map_or(0.0, |(_, count)| *count);
        let within = buckets.iter().find(|(_, count)| *count >= all * share);
        (labels, within.map_or(f64::NAN, |(bound, _)| *bound))
    });
    Ok(of.collect())
}

/// Series of one side with a number on the other.
fn both(sign: char, left: Vector, right: Vector) -> anyhow::Result<Vector> {
    let counted = |left: f64, right: f64| match sign {
        '+' => left + right,
        '-' => left - right,
        '*' => left * right,
        _ => left / right,
    };
    let with = |of: Vector, value: &dyn Fn(f64) -> f64| {
        of.into_iter()
            .map(|(labels, of)| (labels, value(of)))
            .collect()
    };
    match (number(&left), number(&right)) {
        (_, Some(number)) => Ok(with(left, &|value| counted(value, number))),
        (Some(number), None) => Ok(with(right, &|value| counted(number, value))),
        (None, None) => bail!("series stand on both sides of {sign}"),
    }
}

/// What has no labels.
fn number(of: &[(Labels, f64)]) -> Option<f64> {
    match of {
        [(labels, number)] if labels.is_empty() => Some(*number),
        _ => None,
    }
}
