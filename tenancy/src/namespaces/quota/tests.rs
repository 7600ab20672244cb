use proptest::prelude::*;

use super::*;

#[test]
fn a_quota_reads_as_it_is_written() {
    let quota: Quota = " pods=50, requests.cpu = 4,requests.memory=8Gi,count/jobs.batch=5 "
        .parse()
        .unwrap();
    assert_eq!(
        quota.to_string(),
        "count/jobs.batch=5,pods=50,requests.cpu=4,requests.memory=8Gi"
    );
    assert_eq!("".parse::<Quota>().unwrap(), Quota::default());
}

#[test]
fn what_kubernetes_would_refuse_is_refused_with_its_reason() {
    let error = |text: &str| text.parse::<Quota>().unwrap_err();
    assert!(matches!(error("pods"), QuotaError::Shape { .. }));
    assert!(matches!(error("pods=1,"), QuotaError::Shape { .. }));
    for unknown in [
        "pod=1",
        "Pods=1",
        "gpu=1",
        "=1",
        "a b/c=1",
        "count/=1",
        "/x=1",
        "hugepages-=1",
    ] {
        assert!(
            matches!(error(unknown), QuotaError::Resource { .. }),
            "{unknown}"
        );
    }
    assert!(matches!(error("pods=1,pods=2"), QuotaError::Twice { .. }));
    assert!(matches!(error("pods=many"), QuotaError::Quantity { .. }));
    assert!(matches!(
        error("requests.cpu=-1"),
        QuotaError::Negative { .. }
    ));
    assert!(matches!(error("pods=500m"), QuotaError::Fraction { .. }));
    assert!(matches!(
        error("count/jobs.batch=1.5"),
        QuotaError::Fraction { .. }
    ));
    let many: Vec<_> = (0..65).map(|n| format!("count/x{n}.y=1")).collect();
    assert_eq!(error(&many.join(",")), QuotaError::TooMany);
}

#[test]
fn what_is_not_named_keeps_its_bound() {
    let quotas = Quotas::new(
        "pods=7".parse().unwrap(),
        Quota::default(),
        Quota::default(),
    );
    let quota = quotas.unwrap().of(Tier::Developer);
    assert_eq!(quota.hard()["pods"], "7");
    assert_eq!(quota.hard()["secrets"], "100");
}

#[test]
fn nobody_below_super_gets_load_balancers_or_node_ports() {
    for resource in CLOSED {
        let raised: Quota = format!("{resource}=1").parse().unwrap();
        let none = Quota::default();
        let refused = Quotas::new(raised.clone(), none.clone(), none.clone()).unwrap_err();
        let tier = Tier::Developer;
        assert_eq!(refused, QuotaError::Closed { resource, tier });
        let refused = Quotas::new(none.clone(), raised.clone(), none.clone()).unwrap_err();
        let tier = Tier::Admin;
        assert_eq!(refused, QuotaError::Closed { resource, tier });
        let quotas = Quotas::new(none.clone(), none, raised).unwrap();
        assert_eq!(quotas.of(Tier::Super).hard()[resource], "1");
        for tier in [Tier::Viewer, Tier::Developer, Tier::Admin] {
            assert_eq!(quotas.of(tier).hard()[resource], "0");
        }
    }
}

#[test]
fn the_defaults_are_quotas_and_grow_with_the_tier() {
    for tier in Tier::ALL {
        let quota = Quota::default_of(tier);
        assert_eq!(quota.to_string().parse::<Quota>().unwrap(), quota);
    }
    let value = |tier, name: &str| {
        let bound = Quota::default_of(tier).hard()[name].clone();
        bound.parse::<Quantity>().unwrap()
    };
    for name in Quota::default_of(Tier::Developer).hard().keys() {
        assert!(
            value(Tier::Developer, name) <= value(Tier::Admin, name),
            "{name}"
        );
        assert!(
            value(Tier::Admin, name) <= value(Tier::Super, name),
            "{name}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_panics_and_what_reads_reads_again(text in "([a-z./]{0,9}(=[0-9a-zA-Z.+-]{0,5})?,?){0,4}") {
        if let Ok(quota) = text.parse::<Quota>() {
            prop_assert_eq!(quota.to_string().parse::<Quota>().unwrap(), quota);
        }
    }
}
