use super::keys::{ChainKeys, Group, ServerKeys, WorkerKeys};
use super::*;

fn sources(file: &str, env: &[(&str, &str)]) -> Outcome<Sources> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, file).unwrap();
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Sources::read(Some(&path), DEFAULT_FILE, env)
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let flag = ServerKeys {
        grace_seconds: Some("4".to_owned()),
        ..ServerKeys::default()
    };
    let none = ServerKeys::default();
    let env = [("K3S_DAAS_GRACE_SECONDS", "3")];
    let grace = |args: &ServerKeys, file, env: &[_]| {
        args.resolve(&sources(file, env).unwrap())
            .unwrap()
            .grace_seconds
    };
    assert_eq!(grace(&flag, "grace_seconds: 2", &env), 4);
    assert_eq!(grace(&none, "grace_seconds: 2", &env), 3);
    assert_eq!(grace(&none, "grace_seconds: 2", &[]), 2);
    assert_eq!(grace(&none, "", &[]), 0);
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest() {
    let failure = sources("max_stalenes_seconds: 3", &[]).unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    let text = failure.to_string();
    assert!(text.contains("no key max_stalenes_seconds"), "{text}");
    assert!(
        text.contains("did you mean max_staleness_seconds?"),
        "{text}"
    );
}

#[test]
fn a_wrong_value_names_the_key_its_place_and_the_fix() {
    for (file, env, place) in [
        ("listen: nowhere", None, "the key listen in "),
        (
            "",
            Some(("K3S_DAAS_LISTEN", "nowhere")),
            "the variable K3S_DAAS_LISTEN",
        ),
    ] {
        let sources = sources(file, env.as_slice()).unwrap();
        let failure = ServerKeys::default().resolve(&sources).unwrap_err();
        let text = failure.to_string();
        assert!(text.contains(place), "{text}");
        assert!(text.contains("such as 127.0.0.1:9443"), "{text}");
        assert!(text.contains("--listen"), "{text}");
    }
}

#[test]
fn lists_are_yaml_lists_or_comma_separated() {
    let expected = ["a", "b"];
    for (file, env) in [
        ("control_plane_nodes: [a, b]", None),
        ("control_plane_nodes: a, b", None),
        ("", Some(("K3S_DAAS_CONTROL_PLANE_NODES", "a,b"))),
    ] {
        let sources = sources(file, env.as_slice()).unwrap();
        let config = ServerKeys::default().resolve(&sources).unwrap();
        assert_eq!(config.control_plane_nodes.0, expected);
    }
}

#[test]
fn an_empty_list_of_elevated_owners_is_refused() {
    let args = ServerKeys {
        elevated_owners: Some(",".to_owned()),
        ..ServerKeys::default()
    };
    let failure = args.resolve(&sources("", &[]).unwrap()).unwrap_err();
    assert!(failure.to_string().contains("`none`"), "{failure}");
}

#[test]
fn a_file_that_was_named_must_exist() {
    let failure =
        Sources::read(Some(Path::new("/nowhere/config.yaml")), DEFAULT_FILE, []).unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
}

#[test]
fn every_default_is_a_value_of_its_key() {
    for key in keys::all() {
        assert_eq!((key.check)(key.default), Ok(()), "{}", key.name);
    }
}

#[test]
fn every_key_has_one_name() {
    let mut names: Vec<_> = keys::all().map(|key| key.name).collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before);
}

#[test]
fn unknown_variables_are_found_and_known_ones_are_not() {
    let env = [
        ("K3S_DAAS_GRACE", "3"),
        ("K3S_DAAS_GRACE_SECONDS", "3"),
        ("K3S_DAAS_CACHE", "/tmp"),
        ("PATH", "/bin"),
    ];
    assert_eq!(
        sources("", &env).unwrap().unknown_variables(),
        ["K3S_DAAS_GRACE"]
    );
}

#[test]
fn an_empty_variable_takes_an_optional_value_away() {
    let sources = sources("endpoint: http://a", &[("K3S_DAAS_ENDPOINT", "")]).unwrap();
    assert!(
        ChainKeys::default()
            .resolve(&sources)
            .unwrap()
            .endpoint
            .is_none()
    );
}

#[test]
fn another_default_counts_only_where_nobody_said_anything() {
    let port = |args: ServerKeys, env: &[(&str, &str)]| {
        let sources = sources("", env).unwrap();
        let args = args.with_defaults(&sources, &[("listen", "127.0.0.1:0")]);
        args.resolve(&sources).unwrap().listen.port()
    };
    assert_eq!(port(ServerKeys::default(), &[]), 0);
    assert_eq!(
        port(ServerKeys::default(), &[("K3S_DAAS_LISTEN", "127.0.0.1:7")]),
        7
    );
    let flag = ServerKeys {
        listen: Some("127.0.0.1:8".to_owned()),
        ..ServerKeys::default()
    };
    assert_eq!(port(flag, &[]), 8);
}

#[test]
fn the_closed_ranges_are_the_librarys_own() {
    let config = ServerKeys::default()
        .resolve(&sources("", &[]).unwrap())
        .unwrap();
    let own = tenancy::namespaces::default_closed_ranges();
    assert_eq!(config.closed_ranges.0, own);
}

#[test]
fn quotas_networks_and_times_say_what_is_wrong_with_them() {
    for (file, said) in [
        ("quota_developer: pods", "expected resource=quantity"),
        ("quota_admin: [pods=1, pods=2]", "pods is named twice"),
        (
            "closed_ranges: [10.0.0.0/8, 10.0.0.0/33]",
            "\"10.0.0.0/33\" is no network",
        ),
        ("namespace_grace_seconds: 1h", "whole seconds"),
        ("namespace_retention_seconds: 315360001", "ten years"),
    ] {
        let sources = sources(file, &[]).unwrap();
        let failure = ServerKeys::default().resolve(&sources).unwrap_err();
        assert!(failure.to_string().contains(said), "{failure}");
    }
}

#[test]
fn a_workers_keys_stand_in_sections_and_have_other_variables() {
    let file =
        "node:\n  id: worker-001\n  stake_amount: 600000000\nsui:\n  rpc_endpoint: http://file\n";
    let config = |env: &[(&str, &str)]| {
        WorkerKeys::default()
            .resolve(&sources(file, env).unwrap())
            .unwrap()
    };
    let plain = config(&[]);
    assert_eq!(plain.node_id.unwrap().as_str(), "worker-001");
    assert_eq!(plain.node_stake_amount.0.0, 600_000_000);
    assert_eq!(plain.sui_rpc_endpoint.unwrap().0, "http://file");
    let alias = ("SUI_RPC_URL", "http://alias");
    let ours = ("K3S_DAAS_SUI_RPC_ENDPOINT", "http://ours");
    assert_eq!(config(&[alias]).sui_rpc_endpoint.unwrap().0, "http://alias");
    assert_eq!(
        config(&[alias, ours]).sui_rpc_endpoint.unwrap().0,
        "http://ours"
    );
}

#[test]
fn mistakes_in_sections_are_told() {
    for (file, told) in [
        (
            "node:\n  idd: a",
            "did you mean id in the section node (node_id)?",
        ),
        (
            "nod:\n  id: a",
            "did you mean id in the section node (node_id)?",
        ),
        (
            "sui:\n  rpc: http://a",
            "did you mean rpc_endpoint in the section sui (sui_rpc_endpoint)?",
        ),
        (
            "security:\n  cert: /a",
            "did you mean tls_cert in the section security (security_tls_cert)?",
        ),
        (
            "stake_amount: \"1\"",
            "did you mean stake_amount in the section node (node_stake_amount)?",
        ),
        (
            "node:\n  id: a\nnode_id: b",
            "stands in a section and outside of it",
        ),
        ("node:\n  1: a", "a key that is no word"),
        (
            "node:\n  id:\n    a: b",
            "node_id is not one value or a list",
        ),
    ] {
        let text = sources(file, &[]).unwrap_err().to_string();
        assert!(text.contains(told), "{file}: {text}");
    }
}
