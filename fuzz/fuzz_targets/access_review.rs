//! Promise: no review panics; the webhook's reader and `policy explain` agree on which bytes are a
//! request; super is always allowed; below super no API group outside the tables is ever allowed;
//! a higher tier never loses an *allow*.
#![no_main]

use authz_webhook::{Answer, ExplainOptions, SubjectAccessReview, explain};
use libfuzzer_sys::fuzz_target;
use seal::{Tier, access::Attributes};
use webhook_server::parse_review;

const KNOWN: &str = " apps autoscaling batch coordination.k8s.io events.k8s.io extensions policy \
    networking.k8s.io rbac.authorization.k8s.io resource.k8s.io storage.k8s.io scheduling.k8s.io \
    node.k8s.io apiextensions.k8s.io apiregistration.k8s.io metrics.k8s.io authorization.k8s.io \
    authentication.k8s.io";
const HEAD: &str =
    r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":"#;

fuzz_target!(|text: &str| {
    for body in [text.to_owned(), format!("{HEAD}{text}}}")] {
        let answers = Tier::ALL.map(|tier| {
            let mut options = ExplainOptions::new(tier);
            options.own_namespaces.insert("mine".to_owned());
            options.owned_namespaces.insert("theirs".to_owned());
            explain(&body, &options)
                .map(|answer| answer.decision == Answer::Allow)
                .ok()
        });
        let Ok(review) = parse_review::<SubjectAccessReview>(body.as_bytes()) else {
            continue;
        };
        let asked = review.spec.attributes().ok();
        assert_eq!(
            answers[3],
            asked.map(|_| true),
            "super, or the two readers differ"
        );
        assert!(
            answers.is_sorted(),
            "a higher tier loses an allow: {answers:?}"
        );
        if let (Some(Attributes::Resource(it)), Some(true)) = (asked, answers[2]) {
            let known = KNOWN.split(' ').any(|group| group == it.group);
            assert!(known, "{:?} is allowed below super", it.group);
        }
    }
});
