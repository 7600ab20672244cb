use proptest::prelude::*;

use super::super::CustomResourceGroups;
use super::*;
use crate::ElevatedOwners;

const BELOW_SUPER: [Tier; 3] = [Tier::Viewer, Tier::Developer, Tier::Admin];

fn policy() -> Policy {
    Policy {
        custom_resource_groups: CustomResourceGroups::new(["example.com"]).unwrap(),
        ..Policy::new(ElevatedOwners::Any)
    }
}

/// `verb group/resource/subresource`, with `-` for an empty part.
fn request(text: &str) -> ResourceAttributes<'_> {
    let (verb, path) = text.split_once(' ').unwrap();
    let mut parts = path
        .split('/')
        .map(|part| if part == "-" { "" } else { part });
    ResourceAttributes {
        verb,
        group: parts.next().unwrap(),
        resource: parts.next().unwrap(),
        subresource: parts.next().unwrap_or_default(),
        namespace: "",
        name: "",
    }
}

fn at(tier: Tier, place: Place, text: &str) -> Decision {
    let mut request = request(text);
    if let Place::Namespace(_) = place {
        request.namespace = "n";
    }
    decide(&policy(), tier, place, &Attributes::Resource(request))
}

const fn in_(standing: Standing) -> Place {
    Place::Namespace(standing)
}

fn places() -> impl Iterator<Item = Place> {
    std::iter::once(Place::Cluster).chain(Standing::ALL.map(Place::Namespace))
}

/// Every line of what is denied to everyone below super, wherever it is asked for.
const DENIED_ANYWHERE: &[(&str, DenyReason)] = &[
    ("get helm.cattle.io/helmcharts", DenyReason::AddonGroup),
    ("create helm.cattle.io/helmcharts", DenyReason::AddonGroup),
    (
        "list helm.cattle.io/helmchartconfigs",
        DenyReason::AddonGroup,
    ),
    ("watch k3s.cattle.io/addons", DenyReason::AddonGroup),
    (
        "patch k3s.cattle.io/etcdsnapshotfiles",
        DenyReason::AddonGroup,
    ),
    ("get upgrade.cattle.io/plans", DenyReason::AddonGroup),
    ("create upgrade.cattle.io/plans", DenyReason::AddonGroup),
    ("create k3s-daas.io/sealednodes", DenyReason::OurObjects),
    (
        "patch k3s-daas.io/sealednodes/status",
        DenyReason::OurObjects,
    ),
    (
        "deletecollection k3s-daas.io/sealednodes",
        DenyReason::OurObjects,
    ),
    ("odd k3s-daas.io/sealednodes", DenyReason::OurObjects),
    ("impersonate -/users", DenyReason::Impersonation),
    ("impersonate -/groups", DenyReason::Impersonation),
    ("impersonate -/serviceaccounts", DenyReason::Impersonation),
    (
        "impersonate authentication.k8s.io/userextras/scopes",
        DenyReason::Impersonation,
    ),
    (
        "impersonate:user-info authentication.k8s.io/users",
        DenyReason::Impersonation,
    ),
    (
        "impersonate-on:user-info:list -/pods",
        DenyReason::Impersonation,
    ),
    (
        "impersonate:arbitrary-node authentication.k8s.io/nodes",
        DenyReason::Impersonation,
    ),
    (
        "escalate rbac.authorization.k8s.io/roles",
        DenyReason::RoleEscalation,
    ),
    (
        "bind rbac.authorization.k8s.io/roles",
        DenyReason::RoleEscalation,
    ),
    (
        "escalate rbac.authorization.k8s.io/clusterroles",
        DenyReason::RoleEscalation,
    ),
    (
        "bind rbac.authorization.k8s.io/clusterroles",
        DenyReason::RoleEscalation,
    ),
    (
        "create rbac.authorization.k8s.io/clusterroles",
        DenyReason::ClusterRoles,
    ),
    (
        "patch rbac.authorization.k8s.io/clusterroles",
        DenyReason::ClusterRoles,
    ),
    (
        "create rbac.authorization.k8s.io/clusterrolebindings",
        DenyReason::ClusterRoles,
    ),
    (
        "delete rbac.authorization.k8s.io/clusterrolebindings",
        DenyReason::ClusterRoles,
    ),
    (
        "update certificates.k8s.io/certificatesigningrequests/approval",
        DenyReason::Certificates,
    ),
    (
        "patch certificates.k8s.io/certificatesigningrequests/approval",
        DenyReason::Certificates,
    ),
    (
        "update certificates.k8s.io/certificatesigningrequests/status",
        DenyReason::Certificates,
    ),
    (
        "update certificates.k8s.io/podcertificaterequests/status",
        DenyReason::Certificates,
    ),
    (
        "create certificates.k8s.io/certificatesigningrequests/nodeclient",
        DenyReason::Certificates,
    ),
    (
        "create certificates.k8s.io/certificatesigningrequests/selfnodeclient",
        DenyReason::Certificates,
    ),
    (
        "create certificates.k8s.io/certificatesigningrequests/selfnodeserver",
        DenyReason::Certificates,
    ),
    (
        "approve certificates.k8s.io/signers",
        DenyReason::Certificates,
    ),
    ("sign certificates.k8s.io/signers", DenyReason::Certificates),
    (
        "attest certificates.k8s.io/signers",
        DenyReason::Certificates,
    ),
    (
        "create admissionregistration.k8s.io/validatingwebhookconfigurations",
        DenyReason::Admission,
    ),
    (
        "delete admissionregistration.k8s.io/mutatingwebhookconfigurations",
        DenyReason::Admission,
    ),
    (
        "update admissionregistration.k8s.io/validatingadmissionpolicies",
        DenyReason::Admission,
    ),
    (
        "patch admissionregistration.k8s.io/validatingadmissionpolicybindings",
        DenyReason::Admission,
    ),
    (
        "create admissionregistration.k8s.io/mutatingadmissionpolicies",
        DenyReason::Admission,
    ),
    (
        "create admissionregistration.k8s.io/mutatingadmissionpolicybindings",
        DenyReason::Admission,
    ),
    (
        "create apiregistration.k8s.io/apiservices",
        DenyReason::ApiServices,
    ),
    (
        "update apiregistration.k8s.io/apiservices/status",
        DenyReason::ApiServices,
    ),
    (
        "create storage.k8s.io/volumeattachments",
        DenyReason::VolumePlumbing,
    ),
    (
        "patch storage.k8s.io/volumeattachments/status",
        DenyReason::VolumePlumbing,
    ),
    (
        "create storage.k8s.io/csidrivers",
        DenyReason::VolumePlumbing,
    ),
    ("update storage.k8s.io/csinodes", DenyReason::VolumePlumbing),
    (
        "create storage.k8s.io/csistoragecapacities",
        DenyReason::VolumePlumbing,
    ),
    (
        "create resource.k8s.io/deviceclasses",
        DenyReason::DeviceClasses,
    ),
    (
        "delete resource.k8s.io/deviceclasses",
        DenyReason::DeviceClasses,
    ),
    ("create -/nodes", DenyReason::NodeLifecycle),
    ("delete -/nodes", DenyReason::NodeLifecycle),
    ("deletecollection -/nodes", DenyReason::NodeLifecycle),
    ("get -/nodes/proxy", DenyReason::NodeInternals),
    ("create -/nodes/proxy", DenyReason::NodeInternals),
    ("get -/nodes/log", DenyReason::NodeInternals),
    ("get -/nodes/configz", DenyReason::NodeInternals),
    ("create -/nodes/checkpoint", DenyReason::NodeInternals),
    // What asks for all asks for these too.
    ("* */*", DenyReason::AddonGroup),
    ("get */pods", DenyReason::AddonGroup),
    ("get -/nodes/*", DenyReason::NodeInternals),
    ("* -/nodes", DenyReason::NodeLifecycle),
];

#[test]
fn what_is_denied_to_everyone_is_denied_at_every_tier_and_place() {
    for (text, reason) in DENIED_ANYWHERE {
        for place in places() {
            for tier in BELOW_SUPER {
                assert_eq!(
                    at(tier, place, text),
                    Decision::Deny(*reason),
                    "{tier} {place:?} {text}"
                );
            }
            assert_eq!(at(Tier::Super, place, text), Decision::Allow(Grant::Super));
        }
    }
}

/// Kinds by which Kubernetes' own controllers or nodes act with more rights than the
/// writer has, and that no table may ever give: below super RBAC alone decides, and in a
/// namespace with an owner nobody may.
const NEVER_GRANTED: &[&str] = &[
    "create -/pods/binding",
    "create -/bindings",
    "patch -/pods/status",
    "patch -/services/status",
    "patch -/nodes/status",
    "patch -/persistentvolumeclaims/status",
    "patch -/serviceaccounts/status",
    "get -/nodes/pods",
    "create -/endpoints",
    "patch discovery.k8s.io/endpointslices",
    "create certificates.k8s.io/certificatesigningrequests",
    "create certificates.k8s.io/podcertificaterequests",
    "create certificates.k8s.io/clustertrustbundles",
    "create authentication.k8s.io/tokenreviews",
    "create authorization.k8s.io/subjectaccessreviews",
    "create flowcontrol.apiserver.k8s.io/flowschemas",
    "create flowcontrol.apiserver.k8s.io/prioritylevelconfigurations",
    "create storagemigration.k8s.io/storageversionmigrations",
    "create storage.k8s.io/volumeattributesclasses",
    "create networking.k8s.io/servicecidrs",
    "create networking.k8s.io/ipaddresses",
    "create resource.k8s.io/resourceslices",
    "create resource.k8s.io/devicetaintrules",
    "update resource.k8s.io/resourceclaims/status",
    "update resource.k8s.io/resourceclaims/binding",
    "patch apiextensions.k8s.io/customresourcedefinitions",
    "update apiextensions.k8s.io/customresourcedefinitions/status",
    "delete apiextensions.k8s.io/customresourcedefinitions",
    "deletecollection -/persistentvolumes",
    "deletecollection node.k8s.io/runtimeclasses",
    "create -/podtemplates",
    "update apps/controllerrevisions",
    "update -/namespaces/finalize",
    "update -/namespaces/status",
    "create coordination.k8s.io/leasecandidates",
    "use policy/podsecuritypolicies",
];

#[test]
fn what_others_act_on_is_granted_to_nobody_below_super() {
    for text in NEVER_GRANTED {
        for place in places() {
            for tier in BELOW_SUPER {
                let decision = at(tier, place, text);
                assert!(
                    !decision.is_allow(),
                    "{tier} {place:?} {text}: {decision:?}"
                );
            }
        }
    }
}

#[test]
fn nobody_below_super_protects_a_namespace_or_ends_its_protection() {
    for verb in [
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "*",
    ] {
        for place in places() {
            for tier in BELOW_SUPER {
                let text = format!("{verb} rbac.authorization.k8s.io/clusterrolebindings");
                assert_eq!(
                    at(tier, place, &text),
                    Decision::Deny(DenyReason::ClusterRoles),
                    "{tier} {place:?} {text}"
                );
            }
        }
    }
}

const DENIED_IN_PROTECTED: &[(&str, DenyReason)] = &[
    ("get -/secrets", DenyReason::ProtectedSecrets),
    ("list -/secrets", DenyReason::ProtectedSecrets),
    ("watch -/secrets", DenyReason::ProtectedSecrets),
    ("create -/secrets", DenyReason::ProtectedSecrets),
    ("list -/*", DenyReason::ProtectedSecrets),
    ("create -/pods/exec", DenyReason::ProtectedExec),
    ("get -/pods/exec", DenyReason::ProtectedExec),
    ("create -/pods/attach", DenyReason::ProtectedExec),
    ("get -/pods/attach", DenyReason::ProtectedExec),
    ("create -/pods/portforward", DenyReason::ProtectedExec),
    ("get -/pods/portforward", DenyReason::ProtectedExec),
    ("get -/pods/proxy", DenyReason::ProtectedExec),
    ("get -/pods/*", DenyReason::ProtectedExec),
    ("get -/services/proxy", DenyReason::ProtectedExec),
    ("create -/serviceaccounts/token", DenyReason::ProtectedToken),
    ("create -/pods", DenyReason::ProtectedWrite),
    (
        "patch -/pods/ephemeralcontainers",
        DenyReason::ProtectedWrite,
    ),
    ("patch -/pods/resize", DenyReason::ProtectedWrite),
    ("update -/configmaps", DenyReason::ProtectedWrite),
    ("patch apps/deployments/scale", DenyReason::ProtectedWrite),
    (
        "create rbac.authorization.k8s.io/rolebindings",
        DenyReason::ProtectedWrite,
    ),
    ("delete -/resourcequotas", DenyReason::ProtectedWrite),
    ("deletecollection -/pods", DenyReason::ProtectedWrite),
    ("* -/pods", DenyReason::ProtectedWrite),
];

#[test]
fn what_is_denied_in_protected_namespaces_is_denied_there_and_everywhere_at_once() {
    for (text, reason) in DENIED_IN_PROTECTED {
        for place in [in_(Standing::Protected), Place::Cluster] {
            for tier in BELOW_SUPER {
                assert_eq!(
                    at(tier, place, text),
                    Decision::Deny(*reason),
                    "{tier} {place:?} {text}"
                );
            }
            assert_eq!(at(Tier::Super, place, text), Decision::Allow(Grant::Super));
        }
    }
}

#[test]
fn writes_of_unknown_kinds_in_protected_namespaces_are_denied() {
    for tier in BELOW_SUPER {
        assert_eq!(
            at(tier, in_(Standing::Protected), "create example.org/things"),
            Decision::Deny(DenyReason::ProtectedWrite)
        );
        assert_eq!(
            at(tier, Place::Cluster, "create example.org/things"),
            Decision::NoOpinion(Silence::NotGranted)
        );
    }
}

#[test]
fn eviction_is_the_admins_exception_in_protected_namespaces() {
    let evict = "create -/pods/eviction";
    let protected = in_(Standing::Protected);
    assert_eq!(
        at(Tier::Admin, protected, evict),
        Decision::Allow(Grant::Eviction)
    );
    assert_eq!(
        at(Tier::Developer, protected, evict),
        Decision::Deny(DenyReason::ProtectedWrite)
    );
    assert!(at(Tier::Admin, Place::Cluster, evict).is_allow());
}

#[test]
fn status_binding_and_endpoints_are_given_to_nobody() {
    for text in [
        "get -/pods/status",
        "patch -/pods/status",
        "update -/services/status",
        "update -/persistentvolumeclaims/status",
        "patch apps/deployments/status",
        "create -/pods/binding",
        "create -/bindings",
        "get -/endpoints",
        "create -/endpoints",
        "list discovery.k8s.io/endpointslices",
        "create discovery.k8s.io/endpointslices",
        "update example.com/things/status",
        "get example.com/things/status",
    ] {
        for place in places() {
            for tier in BELOW_SUPER {
                assert!(!at(tier, place, text).is_allow(), "{tier} {place:?} {text}");
            }
        }
    }
}

/// Allowed to viewer, developer, admin: in own, unowned, foreign, protected, everywhere.
#[test]
fn the_tiers_reach_as_far_as_published() {
    for (text, own, unowned, foreign, protected, everywhere) in [
        ("list -/pods", "vda", "vda", "a", "a", "a"),
        ("get -/pods/log", "vda", "vda", "a", "a", "a"),
        ("get -/configmaps", "vda", "vda", "a", "a", "a"),
        ("get -/secrets", "da", "a", "a", "", ""),
        ("create -/pods", "da", "a", "a", "", ""),
        ("create -/pods/exec", "da", "a", "a", "", ""),
        ("get -/pods/exec", "da", "a", "a", "", ""),
        ("patch -/pods/ephemeralcontainers", "da", "a", "a", "", ""),
        ("patch -/pods/resize", "da", "a", "a", "", ""),
        ("create -/serviceaccounts/token", "da", "a", "a", "", ""),
        (
            "create rbac.authorization.k8s.io/rolebindings",
            "da",
            "a",
            "a",
            "",
            "",
        ),
        (
            "get rbac.authorization.k8s.io/roles",
            "da",
            "a",
            "a",
            "a",
            "a",
        ),
        ("list coordination.k8s.io/leases", "da", "a", "a", "a", "a"),
        (
            "create authorization.k8s.io/localsubjectaccessreviews",
            "da",
            "a",
            "a",
            "",
            "",
        ),
        ("get -/resourcequotas", "vda", "vda", "a", "a", "a"),
        ("create -/resourcequotas", "a", "a", "a", "", ""),
        ("delete -/limitranges", "a", "a", "a", "", ""),
        ("create example.com/things", "da", "a", "a", "", ""),
        ("list example.com/things", "da", "a", "a", "a", "a"),
        ("patch example.com/things/scale", "da", "a", "a", "", ""),
        ("list example.org/things", "", "", "", "", ""),
        ("get -/podtemplates", "", "", "", "", ""),
    ] {
        for (place, expected) in [
            (in_(Standing::Own), own),
            (in_(Standing::Unowned), unowned),
            (in_(Standing::Foreign), foreign),
            (in_(Standing::Protected), protected),
            (in_(Standing::Unclear), ""),
            (Place::Cluster, everywhere),
        ] {
            for (tier, letter) in BELOW_SUPER.into_iter().zip(["v", "d", "a"]) {
                assert_eq!(
                    at(tier, place, text).is_allow(),
                    expected.contains(letter),
                    "{tier} {place:?} {text}"
                );
            }
        }
    }
}

#[test]
fn the_answer_is_final_only_where_there_is_an_owner() {
    let text = "get example.org/things";
    for tier in BELOW_SUPER {
        for (standing, denied) in [
            (Standing::Own, true),
            (Standing::Foreign, true),
            (Standing::Unclear, true),
            (Standing::Unowned, false),
            (Standing::Protected, false),
        ] {
            let decision = at(tier, in_(standing), text);
            assert_eq!(
                matches!(decision, Decision::Deny(_)),
                denied,
                "{tier} {standing:?}"
            );
        }
    }
}

#[test]
fn shared_tenancy_lets_tenants_view_others_and_no_more() {
    let shared = Policy {
        tenancy: Tenancy::Shared,
        ..policy()
    };
    let ask = |tier, text| {
        let request = Attributes::Resource(request(text));
        decide(&shared, tier, in_(Standing::Foreign), &request)
    };
    for tier in [Tier::Viewer, Tier::Developer] {
        assert_eq!(ask(tier, "get -/pods"), Decision::Allow(Grant::SharedView));
        for text in ["get -/secrets", "create -/pods", "get -/pods/exec"] {
            assert_eq!(
                ask(tier, text),
                Decision::Deny(DenyReason::NotYours),
                "{text}"
            );
        }
    }
}

#[test]
fn cluster_scoped_kinds_as_published() {
    for (text, letters) in [
        ("list -/nodes", "vda"),
        ("patch -/nodes", "a"),
        ("update -/nodes", "a"),
        ("get -/nodes/metrics", "a"),
        ("get -/nodes/stats", "a"),
        ("get -/nodes/status", "a"),
        ("patch -/nodes/status", ""),
        ("create -/nodes/metrics", ""),
        ("get -/nodes/healthz", ""),
        ("get -/nodes/pods", ""),
        ("list -/namespaces", "vda"),
        ("create -/namespaces", "a"),
        ("deletecollection -/namespaces", ""),
        ("list metrics.k8s.io/nodes", "vda"),
        ("list metrics.k8s.io/pods", ""),
        ("list apiregistration.k8s.io/apiservices", "vda"),
        ("list apiextensions.k8s.io/customresourcedefinitions", "vda"),
        ("create apiextensions.k8s.io/customresourcedefinitions", "a"),
        ("delete apiextensions.k8s.io/customresourcedefinitions", ""),
        ("patch apiextensions.k8s.io/customresourcedefinitions", ""),
        (
            "update apiextensions.k8s.io/customresourcedefinitions/status",
            "",
        ),
        ("list -/componentstatuses", ""),
        ("list certificates.k8s.io/certificatesigningrequests", ""),
        ("list rbac.authorization.k8s.io/clusterroles", ""),
        ("list storage.k8s.io/csidrivers", ""),
        ("list k3s-daas.io/sealednodes", ""),
    ] {
        for (tier, letter) in BELOW_SUPER.into_iter().zip(["v", "d", "a"]) {
            let decision = at(tier, Place::Cluster, text);
            assert_eq!(
                decision.is_allow(),
                letters.contains(letter),
                "{tier} {text}"
            );
            assert!(!matches!(decision, Decision::Deny(_)), "{tier} {text}");
        }
    }
    for resource in [
        "-/persistentvolumes",
        "storage.k8s.io/storageclasses",
        "scheduling.k8s.io/priorityclasses",
        "node.k8s.io/runtimeclasses",
        "networking.k8s.io/ingressclasses",
    ] {
        for (verb, letters) in [
            ("get", "vda"),
            ("list", "vda"),
            ("watch", "vda"),
            ("create", "a"),
            ("update", "a"),
            ("patch", "a"),
            ("delete", "a"),
            ("deletecollection", ""),
            ("*", ""),
        ] {
            let text = format!("{verb} {resource}");
            for (tier, letter) in BELOW_SUPER.into_iter().zip(["v", "d", "a"]) {
                let allowed = at(tier, Place::Cluster, &text).is_allow();
                assert_eq!(allowed, letters.contains(letter), "{tier} {text}");
            }
        }
    }
}

fn on_namespace(tier: Tier, standing: Standing, verb: &str, sub: &str, name: &str) -> Decision {
    let request = ResourceAttributes {
        verb,
        resource: "namespaces",
        subresource: sub,
        namespace: "n",
        name,
        ..ResourceAttributes::default()
    };
    decide(
        &policy(),
        tier,
        in_(standing),
        &Attributes::Resource(request),
    )
}

#[test]
fn namespace_objects_are_read_by_all_and_kept_by_admins() {
    for standing in Standing::ALL {
        for tier in BELOW_SUPER {
            assert!(on_namespace(tier, standing, "get", "", "n").is_allow());
            assert!(!on_namespace(tier, standing, "update", "finalize", "n").is_allow());
            assert!(!on_namespace(tier, standing, "update", "status", "n").is_allow());
        }
        for verb in ["create", "update", "patch", "delete"] {
            let expected = matches!(
                standing,
                Standing::Own | Standing::Unowned | Standing::Foreign
            );
            let admin = on_namespace(Tier::Admin, standing, verb, "", "n");
            assert_eq!(admin.is_allow(), expected, "{standing:?} {verb}");
            let developer = on_namespace(Tier::Developer, standing, verb, "", "n");
            assert!(!developer.is_allow(), "{standing:?} {verb}");
        }
    }
}

#[test]
fn a_name_that_differs_from_the_namespace_counts_too() {
    let denied = |name| on_namespace(Tier::Admin, Standing::Unowned, "delete", "", name);
    assert_eq!(
        denied("kube-system"),
        Decision::Deny(DenyReason::ProtectedWrite)
    );
    assert_eq!(
        denied("kube-system "),
        Decision::Deny(DenyReason::NamespaceUnclear)
    );
}

#[test]
fn a_namespace_that_is_not_named_is_not_kept() {
    let unnamed = on_namespace(Tier::Admin, Standing::Own, "delete", "", "");
    assert_eq!(unnamed, Decision::Deny(DenyReason::BeyondTier));
}

#[test]
fn a_foreign_namespace_is_not_yours_below_admin_and_beyond_the_tier_above() {
    let text = "get example.org/things";
    for (tier, reason) in [
        (Tier::Viewer, DenyReason::NotYours),
        (Tier::Developer, DenyReason::NotYours),
        (Tier::Admin, DenyReason::BeyondTier),
    ] {
        assert_eq!(
            at(tier, in_(Standing::Foreign), text),
            Decision::Deny(reason)
        );
    }
}

#[test]
fn a_context_namespace_does_not_matter_to_cluster_scoped_kinds() {
    for standing in Standing::ALL {
        assert!(at(Tier::Viewer, in_(standing), "list -/nodes").is_allow());
        assert!(at(Tier::Admin, in_(standing), "create -/namespaces").is_allow());
        let own_access = "create authorization.k8s.io/selfsubjectaccessreviews";
        assert!(at(Tier::Viewer, in_(standing), own_access).is_allow());
    }
}

#[test]
fn odd_spellings_are_never_allowed_below_super() {
    for text in [
        "GET -/pods",
        "get  -/pods",
        "get -/Pods",
        "get -/pods/LOG",
        "get core/pods",
        "get v1/pods",
        "list Apps/deployments",
        "list apps./deployments",
        "* -/pods",
        "get -/*",
        "get */*",
        "create -/pods/exec ",
        "create authorization.k8s.io/selfsubjectaccessreviews/status",
        "head -/nodes",
        "create Example.com/things",
        "create example.com/*",
        "* example.com/things",
        "get -/ nodes",
        "get -/-",
    ] {
        for place in places() {
            for tier in BELOW_SUPER {
                assert!(!at(tier, place, text).is_allow(), "{tier} {place:?} {text}");
            }
        }
    }
}

fn words(known: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(known).prop_map(str::to_owned),
        1 => "[a-z*./ A-Z-]{0,12}",
        1 => any::<String>(),
    ]
}

fn verbs() -> impl Strategy<Value = String> {
    words(&[
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "impersonate",
        "bind",
        "escalate",
        "*",
        "",
    ])
}

fn groups() -> impl Strategy<Value = String> {
    words(&[
        "",
        "apps",
        "batch",
        "example.com",
        "example.org",
        "helm.cattle.io",
        "k3s-daas.io",
        "rbac.authorization.k8s.io",
        "storage.k8s.io",
        "coordination.k8s.io",
        "metrics.k8s.io",
        "apiextensions.k8s.io",
        "authorization.k8s.io",
        "*",
    ])
}

fn resources() -> impl Strategy<Value = String> {
    words(&[
        "pods",
        "secrets",
        "nodes",
        "namespaces",
        "configmaps",
        "deployments",
        "roles",
        "clusterroles",
        "services",
        "serviceaccounts",
        "resourcequotas",
        "things",
        "leases",
        "storageclasses",
        "customresourcedefinitions",
        "selfsubjectaccessreviews",
        "*",
        "",
    ])
}

fn subresources() -> impl Strategy<Value = String> {
    words(&[
        "", "", "", "log", "exec", "status", "scale", "eviction", "token", "proxy", "metrics",
        "finalize", "*",
    ])
}

fn any_place() -> impl Strategy<Value = Place> {
    proptest::sample::select(places().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_higher_tier_never_loses_an_allow(
        verb in verbs(), group in groups(), resource in resources(),
        subresource in subresources(), name in words(&["", "n", "kube-system"]),
        place in any_place(), shared: bool,
    ) {
        let policy = Policy {
            tenancy: if shared { Tenancy::Shared } else { Tenancy::Own },
            ..policy()
        };
        let namespace = if place == Place::Cluster { "" } else { "n" };
        let request = Attributes::Resource(ResourceAttributes {
            verb: &verb, group: &group, resource: &resource, subresource: &subresource,
            namespace, name: &name,
        });
        let allowed = Tier::ALL.map(|tier| decide(&policy, tier, place, &request).is_allow());
        prop_assert!(allowed.is_sorted(), "{allowed:?}");
        prop_assert_eq!(allowed.last(), Some(&true));
    }

    #[test]
    fn an_unknown_group_is_never_allowed_below_super(
        verb in verbs(), group in "[a-z]{1,6}\\.[a-z]{1,6}\\.test", resource in resources(),
        subresource in subresources(), place in any_place(),
    ) {
        let request = Attributes::Resource(ResourceAttributes {
            verb: &verb, group: &group, resource: &resource, subresource: &subresource,
            ..ResourceAttributes::default()
        });
        for tier in BELOW_SUPER {
            prop_assert!(!decide(&policy(), tier, place, &request).is_allow());
        }
    }

    #[test]
    fn random_paths_are_open_only_under_the_open_roots(verb: String, path: String) {
        let request = Attributes::Path { verb: &verb, path: &path };
        for tier in BELOW_SUPER {
            let decision = decide(&policy(), tier, Place::Cluster, &request);
            prop_assert_eq!(decision, Decision::NoOpinion(Silence::NotGranted));
        }
    }

    #[test]
    fn no_write_reaches_a_protected_namespace(
        verb in verbs(), group in groups(), resource in resources(),
        subresource in subresources(),
    ) {
        let request = Attributes::Resource(ResourceAttributes {
            verb: &verb, group: &group, resource: &resource, subresource: &subresource,
            namespace: "kube-system", name: "x",
        });
        for tier in BELOW_SUPER {
            match decide(&policy(), tier, in_(Standing::Protected), &request) {
                // Cluster-scoped kinds live in no namespace; evictions drain nodes.
                Decision::Allow(
                    Grant::ClusterRead | Grant::ClusterAdmin | Grant::OwnAccess | Grant::Eviction,
                )
                | Decision::Deny(_)
                | Decision::NoOpinion(_) => {}
                Decision::Allow(_) => prop_assert!(matches!(verb.as_str(), "get" | "list" | "watch")),
            }
        }
    }
}
