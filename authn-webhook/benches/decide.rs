//! The pure parts of a TokenReview: parsing, screening, deciding, answering.

use std::hint::black_box;
use std::sync::Arc;

use authn_webhook::answer::to_token_review;
use authn_webhook::decide::{Facts, Verdict, decide};
use authn_webhook::screen::screen;
use authn_webhook::token_review::TokenReview;
use authn_webhook::{Audiences, Policy};
use criterion::{Criterion, criterion_group, criterion_main};
use seal::{
    Address, CredentialHash, ElevatedOwners, Mist, ObjectId, SealRecord, SealStatus, Thresholds,
    UnixMillis,
};
use webhook_server::parse_review;

const REVIEW: &str = r#"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{"token":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","audiences":["https://kubernetes.default.svc.cluster.local","k3s"]},"status":{"user":{}}}"#;

fn policy() -> Policy {
    Policy {
        audiences: Audiences::default(),
        elevated: ElevatedOwners::Any,
    }
}

fn facts() -> Facts {
    Facts {
        hash: CredentialHash::from_bytes([3; 32]),
        record: Some(Arc::new(SealRecord {
            seq: 1,
            seal_id: ObjectId::from_bytes([1; 32]),
            owner: Address::from_bytes([2; 32]),
            stake: Mist(2_000_000_000),
            restore_at: Mist(0),
            node_id: None,
            namespace_wish: None,
            issued_at: UnixMillis(0),
            expires_at: UnixMillis(u64::MAX),
            unbonding_ends_at: UnixMillis(0),
            status: SealStatus::Active,
            slashed_total: Mist(0),
            last_slashed_at: UnixMillis(0),
            generation: 0,
        })),
        now: UnixMillis(1),
        thresholds: Thresholds::default(),
        guarded: true,
    }
}

fn benches(criterion: &mut Criterion) {
    let policy = policy();
    let parse = || parse_review::<TokenReview>(black_box(REVIEW).as_bytes());
    criterion.bench_function("authn/parse", |bench| bench.iter(parse));
    criterion.bench_function("authn/parse_and_screen", |bench| {
        bench.iter(|| parse().map(|review| screen(&policy, review.spec)));
    });
    let facts = facts();
    criterion.bench_function("authn/decide", |bench| {
        bench.iter(|| decide(&policy, black_box(facts.clone())));
    });
    criterion.bench_function("authn/decide_and_answer", |bench| {
        bench.iter(|| {
            let verdict: Verdict = decide(&policy, black_box(facts.clone()));
            to_token_review(verdict, vec!["k3s".to_owned()]).to_json()
        });
    });
}

criterion_group!(all, benches);
criterion_main!(all);
