//! An EventList, read as it comes: one event is in memory at a time.

use std::cell::Cell;
use std::fmt;
use std::io::Read;
use std::rc::Rc;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::event::{Event, Written};

/// So large may one event be. A request's head has at most 1 MiB, which some fields repeat; what
/// answers hold is not asked for.
const LARGEST_EVENT: u64 = 32 * 1024 * 1024;

/// Why a body is not read further.
#[derive(Debug, thiserror::Error)]
#[error("this is no list of audit events")]
pub struct ListError(#[from] serde_json::Error);

/// Reads events one by one and hands each over. Gives their number.
///
/// An event that is no object of the right form ends the reading; what came before it was handed
/// over.
pub fn read_events(body: impl Read, each: impl FnMut(Event)) -> Result<usize, ListError> {
    let budget = Rc::new(Cell::new(LARGEST_EVENT));
    let reader = Bounded {
        body,
        left: Rc::clone(&budget),
    };
    let mut list = serde_json::Deserializer::from_reader(std::io::BufReader::new(reader));
    let items = List {
        each,
        budget,
        count: 0,
    };
    let count = items.deserialize(&mut list)?;
    list.end()?;
    Ok(count)
}

/// A body of which so much may be read until the next event begins.
struct Bounded<R> {
    body: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.body.read(into)?;
        let count = u64::try_from(read).unwrap_or(u64::MAX);
        let left = self.left.get().checked_sub(count);
        let left = left.ok_or_else(|| std::io::Error::other("an event is too large"))?;
        self.left.set(left);
        Ok(read)
    }
}

/// The list and what becomes of its items.
struct List<F> {
    each: F,
    budget: Rc<Cell<u64>>,
    count: usize,
}

impl<'de, F: FnMut(Event)> DeserializeSeed<'de> for List<F> {
    type Value = usize;

    fn deserialize<D: serde::Deserializer<'de>>(self, list: D) -> Result<usize, D::Error> {
        list.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Event)> Visitor<'de> for List<F> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an EventList")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<usize, A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                map.next_value_seed(Items(&mut self))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(self.count)
    }
}

/// The items of the list.
struct Items<'a, F>(&'a mut List<F>);

impl<'de, F: FnMut(Event)> DeserializeSeed<'de> for Items<'_, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, items: D) -> Result<(), D::Error> {
        items.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Event)> Visitor<'de> for Items<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    /// Go writes an empty list so.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        loop {
            self.0.budget.set(LARGEST_EVENT);
            let Some(event) = items.next_element::<Box<RawValue>>()? else {
                return Ok(());
            };
            let written: Written<'_> =
                serde_json::from_str(event.get()).map_err(serde::de::Error::custom)?;
            self.0.count += 1;
            (self.0.each)(written.read());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Result<usize, ListError>, Vec<Event>) {
        let mut events = Vec::new();
        let result = read_events(text.as_bytes(), |event| events.push(event));
        (result, events)
    }

    #[test]
    fn a_real_list_is_read() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/audit-eventlist-long-running.json"
        );
        let (count, events) = read(&std::fs::read_to_string(path).unwrap());
        assert_eq!(count.unwrap(), 3);
        assert!(
            events
                .iter()
                .all(|event| event.source.is_some() && !event.denied)
        );
    }

    #[test]
    fn what_is_no_list_is_an_error_and_what_came_before_counts() {
        for text in ["", "[]", "{", r#"{"items":{}}"#, r#"{"items":[1]}"#, "{} x"] {
            assert!(read(text).0.is_err(), "{text}");
        }
        assert_eq!(read(r#"{"items":null}"#).0.unwrap(), 0);
        assert_eq!(read("{}").0.unwrap(), 0);
        let (result, events) = read(r#"{"items":[{"user":{"username":"a"}},{"user":7}]}"#);
        assert!(result.is_err());
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn memory_is_bounded_by_the_largest_event() {
        let long = std::io::repeat(b'a');
        let list = r#"{"items":[{"requestURI":""#.as_bytes().chain(long);
        let error = read_events(list, |_| {}).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("too large"), "{source}");
    }

    #[test]
    fn many_events_may_be_larger_than_one_together() {
        let event = format!(r#"{{"requestURI":"{}"}}"#, "a".repeat(1 << 20));
        let list = format!(r#"{{"items":[{}]}}"#, vec![event; 40].join(","));
        assert_eq!(read(&list).0.unwrap(), 40);
    }
}
