use proptest::prelude::*;

use super::*;

/// RFC 7386, as the API server does it.
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn with(mut object: Value, change: Change) -> Value {
    if let Some(patch) = change(&object) {
        merge(&mut object, &patch);
    }
    object
}

#[test]
fn what_is_scaled_comes_back_as_it_was() {
    let deployment = json!({ "metadata": { "annotations": {} }, "spec": { "replicas": 3 } });
    let stopped = with(deployment.clone(), scale_down);
    assert_eq!(stopped["spec"]["replicas"], 0);
    assert_eq!(scale_down(&stopped), None, "a second pass changes nothing");
    assert_eq!(with(stopped, scale_up), deployment);
    let silent = with(json!({ "spec": {} }), scale_down);
    assert_eq!(with(silent, scale_up)["spec"]["replicas"], 1);
}

#[test]
fn what_was_at_zero_stays_there() {
    let idle = json!({ "metadata": {}, "spec": { "replicas": 0 } });
    assert_eq!(scale_down(&idle), None);
    assert_eq!(scale_up(&idle), None);
}

#[test]
fn what_another_controls_or_is_going_is_left_alone() {
    let of = |meta: Value| json!({ "metadata": meta, "spec": { "replicas": 2 } });
    let controlled = of(json!({ "ownerReferences": [{ "controller": true }] }));
    assert_eq!(scale_down(&controlled), None);
    let owned = of(json!({ "ownerReferences": [{ "controller": false }] }));
    assert!(scale_down(&owned).is_some());
    let going = of(json!({ "deletionTimestamp": "now" }));
    assert_eq!(scale_down(&going), None);
    assert_eq!(suspend(&going), None);
}

#[test]
fn a_hostile_number_of_replicas_is_not_followed() {
    for hostile in ["", "-1", "0", "10001", "1e9", "99999999999999999999", "x"] {
        let object = json!({
            "metadata": { "annotations": { ANNOTATION_REPLICAS: hostile } },
            "spec": { "replicas": 0 },
        });
        let restored = with(object, scale_up);
        assert_eq!(restored["spec"]["replicas"], 0, "{hostile}");
        assert_eq!(restored["metadata"]["annotations"], json!({}), "{hostile}");
    }
}

#[test]
fn what_was_changed_meanwhile_is_not_overwritten() {
    let scaled = json!({
        "metadata": { "annotations": { ANNOTATION_REPLICAS: "5" } },
        "spec": { "replicas": 2 },
    });
    assert_eq!(with(scaled, scale_up)["spec"]["replicas"], 2);
    let resumed = json!({
        "metadata": { "annotations": { ANNOTATION_SUSPENDED: "true" } },
        "spec": { "suspend": false },
    });
    let resumed = with(resumed, resume);
    assert_eq!(
        resumed,
        json!({ "metadata": { "annotations": {} }, "spec": { "suspend": false } })
    );
}

#[test]
fn only_what_we_suspended_is_resumed() {
    let job = json!({ "metadata": { "annotations": {} }, "spec": { "suspend": false } });
    let stopped = with(job.clone(), suspend);
    assert_eq!(stopped["spec"]["suspend"], true);
    assert_eq!(suspend(&stopped), None);
    assert_eq!(with(stopped, resume), job);
    let theirs = json!({ "metadata": {}, "spec": { "suspend": true } });
    assert_eq!(suspend(&theirs), None);
    assert_eq!(resume(&theirs), None);
}

#[test]
fn a_finished_job_is_left_alone() {
    for kind in ["Complete", "Failed"] {
        let job = json!({ "status": { "conditions": [{ "type": kind, "status": "True" }] } });
        assert_eq!(suspend(&job), None);
    }
    let running =
        json!({ "status": { "conditions": [{ "type": "Complete", "status": "False" }] } });
    assert!(suspend(&running).is_some());
}

proptest! {
    #[test]
    fn stop_and_restore_is_nothing(replicas in 0_i64..=MOST_REPLICAS, suspended: bool) {
        let object = json!({ "metadata": { "annotations": {} }, "spec": { "replicas": replicas, "suspend": suspended } });
        prop_assert_eq!(&with(with(object.clone(), scale_down), scale_up), &object);
        prop_assert_eq!(&with(with(object.clone(), suspend), resume), &object);
    }
}
