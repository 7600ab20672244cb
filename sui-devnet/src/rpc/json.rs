//! Move values as JSON, where an answer has a field for it.
//!
//! Shape:  structs are objects, `u8` to `u32` numbers, `u64` a string, `vector<u8>` base64, ids
//!         and addresses `0x` and 64 digits, an option null or the value. A `Balance` is a
//!         struct with `value`, a `UID` just its id.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use sui_sdk_types::{Address, StructTag, TypeTag};

/// How a value's bytes are laid out.
enum Layout {
    U8,
    U64,
    Bool,
    Address,
    Text,
    Bytes,
    List(Box<Layout>),
    Option(Box<Layout>),
    Struct(Vec<(&'static str, Layout)>),
}

/// Renders a value; `None` for a type that is not known here, or bytes that do not fit it.
pub(super) fn render(type_: &TypeTag, bytes: &[u8]) -> Option<Value> {
    let layout = layout(type_)?;
    let mut rest = bytes;
    let value = walk(&layout, &mut rest)?;
    rest.is_empty().then_some(value)
}

fn layout(type_: &TypeTag) -> Option<Layout> {
    Some(match type_ {
        TypeTag::U8 => Layout::U8,
        TypeTag::U64 => Layout::U64,
        TypeTag::Bool => Layout::Bool,
        TypeTag::Address => Layout::Address,
        TypeTag::Vector(item) if **item == TypeTag::U8 => Layout::Bytes,
        TypeTag::Vector(item) => Layout::List(Box::new(layout(item)?)),
        TypeTag::Struct(tag) => structure(tag)?,
        _ => return None,
    })
}

fn structure(tag: &StructTag) -> Option<Layout> {
    let named = |fields| Some(Layout::Struct(fields));
    match (tag.module().as_str(), tag.name().as_str()) {
        ("string", "String") => Some(Layout::Text),
        ("coin", "Coin") => named(vec![("id", Layout::Address), ("balance", balance())]),
        ("clock", "Clock") => named(vec![("id", Layout::Address), ("timestamp_ms", Layout::U64)]),
        ("dynamic_field", "Field") => {
            let [name, value] = tag.type_params() else {
                return None;
            };
            named(vec![
                ("id", Layout::Address),
                ("name", layout(name)?),
                ("value", layout(value)?),
            ])
        }
        ("staking", name) => contract(name),
        _ => None,
    }
}

fn balance() -> Layout {
    Layout::Struct(vec![("value", Layout::U64)])
}

fn table() -> Layout {
    Layout::Struct(vec![("id", Layout::Address), ("size", Layout::U64)])
}

fn contract(name: &str) -> Option<Layout> {
    let option = |layout| Layout::Option(Box::new(layout));
    let list = |layout| Layout::List(Box::new(layout));
    let fields = match name {
        "Pool" => vec![
            ("id", Layout::Address),
            ("version", Layout::U64),
            ("config", contract("Config")?),
            ("pending", option(contract("PendingConfig")?)),
            ("pooled", balance()),
            ("treasury", balance()),
            ("seq", Layout::U64),
            ("seals", table()),
            ("nodes", table()),
            ("owners", table()),
            ("slash_caps", list(Layout::Address)),
            ("reserved", list(Layout::Text)),
            ("paused", Layout::Bool),
            ("ext", Layout::Bytes),
        ],
        "Config" => [
            "viewer",
            "developer",
            "admin",
            "super",
            "slash_pct",
            "slash_interval_ms",
            "config_delay_ms",
            "unbonding_ms",
            "validity_min_ms",
            "validity_max_ms",
            "validity_default_ms",
        ]
        .map(|name| (name, Layout::U64))
        .into(),
        "PendingConfig" => vec![
            ("config", contract("Config")?),
            ("effective_at_ms", Layout::U64),
        ],
        "SealRecord" => vec![
            ("seq", Layout::U64),
            ("seal_id", Layout::Address),
            ("owner", Layout::Address),
            ("stake", Layout::U64),
            ("restore_at", Layout::U64),
            ("node_id", option(Layout::Text)),
            ("namespace", option(Layout::Text)),
            ("issued_at_ms", Layout::U64),
            ("expires_at_ms", Layout::U64),
            ("unbonding_ends_at_ms", Layout::U64),
            ("status", Layout::U8),
            ("slashed_total", Layout::U64),
            ("last_slashed_at_ms", Layout::U64),
            ("generation", Layout::U64),
            ("ext", Layout::Bytes),
        ],
        "NodeClaim" => vec![("owner", Layout::Address), ("hash", Layout::Bytes)],
        "SealToken" => vec![
            ("id", Layout::Address),
            ("pool", Layout::Address),
            ("hash", Layout::Bytes),
        ],
        "AdminCap" | "SlashCap" => vec![("id", Layout::Address)],
        "SealChanged" => vec![
            ("pool", Layout::Address),
            ("seq", Layout::U64),
            ("cause", Layout::U8),
            ("reason", Layout::Text),
            ("hash", Layout::Bytes),
            ("record", contract("SealRecord")?),
        ],
        "NodeClaimed" => vec![
            ("pool", Layout::Address),
            ("seq", Layout::U64),
            ("name", Layout::Text),
            ("claim", contract("NodeClaim")?),
        ],
        "ConfigChanged" => vec![
            ("pool", Layout::Address),
            ("seq", Layout::U64),
            ("config", contract("Config")?),
        ],
        _ => return None,
    };
    Some(Layout::Struct(fields))
}

fn walk(layout: &Layout, rest: &mut &[u8]) -> Option<Value> {
    let kind = match layout {
        Layout::U8 => Kind::NumberValue(f64::from(*take(rest, 1)?.first()?)),
        Layout::U64 => {
            Kind::StringValue(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?).to_string())
        }
        Layout::Bool => Kind::BoolValue(take(rest, 1)? == [1]),
        Layout::Address => {
            Kind::StringValue(Address::from_bytes(take(rest, 32)?).ok()?.to_string())
        }
        Layout::Text => {
            let length = length(rest)?;
            Kind::StringValue(String::from_utf8(take(rest, length)?.to_vec()).ok()?)
        }
        Layout::Bytes => {
            let length = length(rest)?;
            Kind::StringValue(STANDARD.encode(take(rest, length)?))
        }
        Layout::List(item) => {
            let length = length(rest)?;
            // No item is shorter than a byte: a wrong length ends with the bytes.
            let values = (0..length)
                .map(|_| walk(item, rest))
                .collect::<Option<Vec<Value>>>()?;
            Kind::ListValue(ListValue { values })
        }
        Layout::Option(item) => match length(rest)? {
            0 => Kind::NullValue(0),
            _ => return walk(item, rest),
        },
        Layout::Struct(fields) => {
            let mut values = BTreeMap::new();
            for (name, field) in fields {
                values.insert((*name).to_owned(), walk(field, rest)?);
            }
            Kind::StructValue(Struct { fields: values })
        }
    };
    Some(Value { kind: Some(kind) })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

/// ULEB128.
fn length(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0usize;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *take(rest, 1)?.first()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
