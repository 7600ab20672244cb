//! The pure decision: what one review costs besides its parsing.

use criterion::{Criterion, criterion_group, criterion_main};
use seal::access::{Attributes, Place, Policy, ResourceAttributes, Standing, decide};
use seal::{ElevatedOwners, Tier};
use std::hint::black_box;

fn bench(c: &mut Criterion) {
    let policy = Policy::new(ElevatedOwners::Any);
    let resource = |verb, group, resource, subresource| {
        Attributes::Resource(ResourceAttributes {
            verb,
            group,
            resource,
            subresource,
            namespace: "seal-29dfbf688abce7ab",
            name: "x",
        })
    };
    let cases = [
        ("list_pods", resource("list", "", "pods", "")),
        (
            "patch_scale",
            resource("patch", "apps", "deployments", "scale"),
        ),
        (
            "create_rolebindings",
            resource("create", "rbac.authorization.k8s.io", "rolebindings", ""),
        ),
        ("unknown_kind", resource("get", "example.org", "things", "")),
        (
            "openapi",
            Attributes::Path {
                verb: "get",
                path: "/openapi/v3/apis/apps/v1",
            },
        ),
    ];
    for (name, request) in cases {
        c.bench_function(&format!("decide/{name}"), |b| {
            b.iter(|| {
                decide(
                    black_box(&policy),
                    Tier::Developer,
                    Place::Namespace(Standing::Own),
                    black_box(&request),
                )
            });
        });
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
