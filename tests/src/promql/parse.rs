//! From text to an expression, by recursive descent.

use std::iter::Peekable;
use std::vec::IntoIter;

use anyhow::{Context as _, bail, ensure};

use super::{Expression, Selector};

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(String),
}

/// Reads a query.
pub fn parse(query: &str) -> anyhow::Result<Expression> {
    let mut reader = Reader(tokens(query)?.into_iter().peekable());
    let expression = reader.sum().with_context(|| query.to_owned())?;
    ensure!(
        reader.0.next().is_none(),
        "{query}: there is more behind it"
    );
    Ok(expression)
}

fn tokens(query: &str) -> anyhow::Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_ascii_alphanumeric() || "_:.".contains(c);
        let length = if word(first) {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else if first == '"' {
            let inside = rest.get(1..).unwrap_or_default();
            inside.find('"').context("a text has no end")? + 2
        } else if ["=~", "!~", "!="].iter().any(|two| rest.starts_with(two)) {
            2
        } else {
            first.len_utf8()
        };
        let (token, behind) = rest.split_at(length);
        tokens.push(if word(first) {
            Token::Word(token.to_owned())
        } else if first == '"' {
            Token::Text(token.trim_matches('"').to_owned())
        } else {
            Token::Sign(token.to_owned())
        });
        rest = behind.trim_start();
    }
    Ok(tokens)
}

struct Reader(Peekable<IntoIter<Token>>);

impl Reader {
    fn sum(&mut self) -> anyhow::Result<Expression> {
        let mut left = self.product()?;
        while let Some(sign) = self.one_of("+-") {
            left = Expression::Both(sign, Box::new(left), Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> anyhow::Result<Expression> {
        let mut left = self.single()?;
        while let Some(sign) = self.one_of("*/") {
            left = Expression::Both(sign, Box::new(left), Box::new(self.single()?));
        }
        Ok(left)
    }

    fn single(&mut self) -> anyhow::Result<Expression> {
        if self.takes("(") {
            let inside = self.sum()?;
            self.sign(")")?;
            return Ok(inside);
        }
        let word = self.word()?;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Expression::Number(word.parse()?));
        }
        if word == "sum" {
            return self.grouped();
        }
        if !self.takes("(") {
            return Ok(Expression::Series(self.selector(word)?));
        }
        let call = match word.as_str() {
            "time" => Expression::Time,
            "rate" | "increase" => {
                let metric = self.word()?;
                let of = self.selector(metric)?;
                self.sign("[")?;
                let window = self.word()?;
                ensure!(window.ends_with(['s', 'm', 'h']), "{window} is no time");
                self.sign("]")?;
                Expression::Growth {
                    a_second: word == "rate",
                    of,
                }
            }
            "topk" => {
                let count = self.word()?.parse()?;
                self.sign(",")?;
                Expression::Top(count, Box::new(self.sum()?))
            }
            "histogram_quantile" => {
                let share = self.word()?.parse()?;
                self.sign(",")?;
                Expression::Quantile(share, Box::new(self.sum()?))
            }
            other => bail!("{other} is not known here"),
        };
        self.sign(")")?;
        Ok(call)
    }

    fn grouped(&mut self) -> anyhow::Result<Expression> {
        let by = self.word()?;
        ensure!(by == "by", "sum {by}");
        self.sign("(")?;
        let mut labels = vec![self.word()?];
        while self.takes(",") {
            labels.push(self.word()?);
        }
        self.sign(")")?;
        self.sign("(")?;
        let of = Box::new(self.sum()?);
        self.sign(")")?;
        Ok(Expression::Sum { by: labels, of })
    }

    fn selector(&mut self, metric: String) -> anyhow::Result<Selector> {
        let mut matchers = Vec::new();
        if self.takes("{") {
            loop {
                let label = self.word()?;
                let Some(Token::Sign(sign)) = self.0.next() else {
                    bail!("{label} is matched by nothing");
                };
                ensure!(["=", "!=", "=~", "!~"].contains(&sign.as_str()), "{sign}");
                let Some(Token::Text(value)) = self.0.next() else {
                    bail!("{label} is matched by no text");
                };
                matchers.push((label, sign, value));
                if !self.takes(",") {
                    break;
                }
            }
            self.sign("}")?;
        }
        Ok(Selector { metric, matchers })
    }

    fn word(&mut self) -> anyhow::Result<String> {
        match self.0.next() {
            Some(Token::Word(word)) => Ok(word),
            other => bail!("a word is missing: {other:?}"),
        }
    }

    fn sign(&mut self, sign: &str) -> anyhow::Result<()> {
        ensure!(self.takes(sign), "{sign} is missing");
        Ok(())
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is = |token: &Token| matches!(token, Token::Sign(found) if found == sign);
        self.0.next_if(is).is_some()
    }

    fn one_of(&mut self, signs: &str) -> Option<char> {
        signs.chars().find(|sign| self.takes(&sign.to_string()))
    }
}
