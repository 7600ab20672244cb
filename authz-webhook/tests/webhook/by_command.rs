//! Every request that kubectl was seen to make, for each tier and kind of namespace.

use std::collections::{BTreeMap, BTreeSet};

use authz_webhook::{Answer, ExplainOptions, explain};
use seal::Tier;
use seal::access::{Ownership, Tenancy};
use serde_json::{Value, json};

use crate::directory::{Holder, Namespaces, Webhook};

const CAPTURED: &str =
    include_str!("../../testdata/subjectaccessreview-attributes-by-command.jsonl");
const EXPECTED: &str = include_str!("../../testdata/expected-by-tier.tsv");

/// Verb, group, resource with subresource or path, namespace; `-` for an empty one.
type Request = [String; 4];

/// Captured, own, unowned, foreign, shared; each the answers to viewer, developer, admin.
type Answers = [&'static str; 5];

fn table() -> BTreeMap<Request, Answers> {
    let rows = EXPECTED.lines().filter(|line| !line.starts_with('#'));
    let mut table = BTreeMap::new();
    for row in rows {
        let cells: Vec<&'static str> = row.split('\t').collect();
        let [verb, group, resource, namespace, answers @ ..] = &cells[..] else {
            panic!("{row}")
        };
        let request = [verb, group, resource, namespace].map(|cell| (*cell).to_owned());
        let answers: Answers = answers.try_into().expect(row);
        assert!(table.insert(request, answers).is_none(), "twice: {row}");
    }
    table
}

fn request_of(line: &Value) -> Request {
    let dash = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let cell = |key: &str, name: &str| dash(line[key][name].as_str().unwrap_or(""));
    if line["nonResourceAttributes"].is_object() {
        let key = "nonResourceAttributes";
        return [
            cell(key, "verb"),
            "path".to_owned(),
            cell(key, "path"),
            "-".to_owned(),
        ];
    }
    let key = "resourceAttributes";
    let resource = match line[key]["subresource"].as_str() {
        Some(sub) => format!("{}/{sub}", cell(key, "resource")),
        None => cell(key, "resource"),
    };
    [
        cell(key, "verb"),
        cell(key, "group"),
        resource,
        cell(key, "namespace"),
    ]
}

fn captured() -> impl Iterator<Item = (Value, Request)> {
    CAPTURED.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let request = request_of(&line);
        (line, request)
    })
}

/// The same request in another namespace.
fn moved(line: &Value, namespace: &str) -> Value {
    let mut line = line.clone();
    let attributes = &mut line["resourceAttributes"];
    attributes["namespace"] = json!(namespace);
    if attributes["resource"] == "namespaces" {
        attributes["name"] = json!(namespace);
    }
    line
}

/// The four places and the captured one: the request and its column.
fn places(line: &Value, request: &Request) -> Vec<(Value, usize)> {
    let mut places = vec![(line.clone(), 0)];
    if request[3] != "-" {
        for (namespace, column) in [(OWN, 1), (UNOWNED, 2), (FOREIGN, 3)] {
            places.push((moved(line, namespace), column));
        }
    }
    places
}

const ME: Holder = Holder(1);
const OTHER: Holder = Holder(2);
const OWN: &str = "seal-0101010101010101";
const FOREIGN: &str = "seal-0202020202020202";
const UNOWNED: &str = "team";

fn letter(answer: &str) -> char {
    match answer {
        "allow" => 'A',
        "deny" => 'D',
        _ => 'n',
    }
}

fn expected(answers: &Answers, column: usize, tier: Tier) -> char {
    let at = match tier {
        Tier::Viewer => 0,
        Tier::Developer => 1,
        Tier::Admin => 2,
        Tier::Super => return 'A',
    };
    answers[column].chars().nth(at).unwrap()
}

#[test]
fn the_table_has_a_row_for_every_captured_request_and_no_other() {
    let table: BTreeSet<Request> = table().into_keys().collect();
    let seen: BTreeSet<Request> = captured().map(|(_, request)| request).collect();
    assert_eq!(captured().count(), 133);
    assert_eq!(table, seen);
}

#[tokio::test]
async fn the_webhook_answers_every_captured_request_as_expected() {
    assert_eq!((ME.home().as_str(), OTHER.home().as_str()), (OWN, FOREIGN));
    let namespaces = Namespaces(
        [
            (OWN, Ownership::Owned(ME.owner())),
            (FOREIGN, Ownership::Owned(OTHER.owner())),
            (UNOWNED, Ownership::Unowned),
            ("pod", Ownership::Unowned),
            ("n1", Ownership::Unowned),
            ("default", Ownership::Unowned),
            ("kube-system", Ownership::Unowned),
            ("kube-node-lease", Ownership::Unowned),
        ]
        .map(|(name, ownership)| (name.to_owned(), ownership))
        .into(),
    );
    let webhook = Webhook::new(namespaces);
    let table = table();
    for tier in Tier::ALL {
        webhook.stake(ME, tier);
        for (line, request) in captured() {
            for (line, column) in places(&line, &request) {
                let answered = webhook.ask_as(ME, &line).await;
                assert_eq!(
                    letter(answered.outcome),
                    expected(&table[&request], column, tier),
                    "{tier}, column {column}: {line}\n{answered:?}"
                );
            }
        }
    }
}

#[test]
fn explain_answers_every_captured_request_as_the_webhook() {
    let table = table();
    for tier in Tier::ALL {
        let mut options = ExplainOptions::new(tier);
        options.own_namespaces.insert(OWN.to_owned());
        options.owned_namespaces.insert(FOREIGN.to_owned());
        for (line, request) in captured() {
            for (line, column) in places(&line, &request) {
                let answered = explain(&line.to_string(), &options).unwrap();
                assert_eq!(
                    letter(answered.decision.label()),
                    expected(&table[&request], column, tier),
                    "{tier}, column {column}: {line}\n{answered:?}"
                );
            }
        }
    }
}

#[test]
fn shared_tenancy_opens_the_namespaces_of_others_to_view() {
    let table = table();
    for tier in Tier::ALL {
        let mut options = ExplainOptions::new(tier).tenancy(Tenancy::Shared);
        options.owned_namespaces.insert(FOREIGN.to_owned());
        for (line, request) in captured().filter(|(_, request)| request[3] != "-") {
            let line = moved(&line, FOREIGN);
            let answered = explain(&line.to_string(), &options).unwrap();
            assert_eq!(
                letter(answered.decision.label()),
                expected(&table[&request], 4, tier),
                "{tier}: {line}\n{answered:?}"
            );
        }
    }
}

#[test]
fn the_three_answers_are_written_as_published() {
    let names = [Answer::Allow, Answer::Deny, Answer::NoOpinion]
        .map(|answer| (answer.label(), serde_json::to_value(answer).unwrap()));
    for (label, written) in names {
        assert_eq!(written, json!(label));
    }
}
