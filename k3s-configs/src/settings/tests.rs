use proptest::prelude::*;

use super::*;

fn refused(change: impl FnOnce(&mut Settings)) -> RenderError {
    let mut settings = Settings::default();
    change(&mut settings);
    settings.validate().unwrap_err()
}

fn accepted(change: impl FnOnce(&mut Settings)) {
    let mut settings = Settings::default();
    change(&mut settings);
    assert_eq!(settings.validate(), Ok(()));
}

#[test]
fn the_defaults_are_accepted() {
    accepted(|_| {});
}

#[test]
fn refuses_paths_that_are_not_absolute() {
    let changes: [fn(&mut Settings); 4] = [
        |s| s.output_dir = "rendered".into(),
        |s| s.webhook_ca = "ca.crt".into(),
        |s| {
            s.client_certificate = Some(ClientCertificate {
                certificate: "/a".into(),
                key: "b".into(),
            });
        },
        |s| s.systemd.as_mut().unwrap().binary = "k3s-daas".into(),
    ];
    for change in changes {
        assert!(matches!(refused(change), RenderError::NotAbsolute { .. }));
    }
}

#[test]
fn refuses_text_that_would_end_a_line_of_a_file() {
    let newline = refused(|s| s.webhook_ca = "/etc/ca\nenable-admission-plugins: x".into());
    assert!(matches!(
        newline,
        RenderError::Unprintable {
            setting: "webhook_ca",
            ..
        }
    ));
    let name = refused(|s| s.webhook_server_name = Some("a\nb".into()));
    assert!(matches!(name, RenderError::Unprintable { .. }));
    let word = refused(|s| s.systemd.as_mut().unwrap().user = "root\nExecStart=/x".into());
    assert!(matches!(
        word,
        RenderError::Unprintable {
            setting: "systemd.user",
            ..
        }
    ));
}

#[test]
fn refuses_urls_that_are_not_https_with_a_host() {
    for url in [
        "http://127.0.0.1:9443/authorize",
        "127.0.0.1:9443",
        "https://",
        "https:///authorize",
        "https://user@127.0.0.1/",
        "https://127.0.0.1:0/",
        "https://127.0.0.1:99999/",
        "https://127.0.0.1/ x",
        "https://127.0.0.1/?a=b",
        "https://[::1/",
    ] {
        assert!(
            matches!(
                refused(|s| s.authorize_url = url.into()),
                RenderError::NotHttps { .. }
            ),
            "{url}"
        );
    }
}

#[test]
fn a_webhook_elsewhere_needs_the_api_servers_certificate() {
    let elsewhere = "https://10.0.0.9:9443/authenticate";
    assert!(matches!(
        refused(|s| s.authenticate_url = elsewhere.into()),
        RenderError::ClientCertificateNeeded {
            setting: "authenticate_url",
            ..
        }
    ));
    // A name that only begins like a loopback address is somebody's.
    assert!(matches!(
        refused(|s| s.authorize_url = "https://127.0.0.1.example.org/".into()),
        RenderError::ClientCertificateNeeded { .. }
    ));
    accepted(|s| {
        s.authenticate_url = elsewhere.into();
        s.client_certificate = Some(ClientCertificate {
            certificate: "/a".into(),
            key: "/b".into(),
        });
    });
    accepted(|s| s.authenticate_url = "https://[::1]:9443/authenticate".into());
    accepted(|s| s.authenticate_url = "https://localhost/authenticate".into());
}

#[test]
fn refuses_names_that_are_no_nodes() {
    for name in ["", "a'b", "Server-1", "a..b", "-a", "a-", &"a".repeat(254)] {
        let error = refused(|s| s.control_plane_nodes = vec![name.to_owned()]);
        assert_eq!(error, RenderError::NodeName(name.to_owned()));
    }
    accepted(|s| s.control_plane_nodes = vec!["server-1.example.org".into(), "a".into()]);
}

#[test]
fn refuses_times_that_kubernetes_takes_for_something_else() {
    for timeout in [
        Duration::ZERO,
        Duration::from_micros(10),
        Duration::from_secs(31),
    ] {
        assert_eq!(
            refused(|s| s.authorization_timeout = timeout),
            RenderError::Timeout(timeout)
        );
    }
    let short = Duration::from_millis(999);
    assert_eq!(
        refused(|s| s.longest_watch = LongestWatch::After(short)),
        RenderError::LongestWatch(short)
    );
    accepted(|s| s.longest_watch = LongestWatch::Kubernetes);
}

#[test]
fn refuses_a_gate_that_others_could_not_reach_or_that_hears_in_the_clear() {
    let gate = |edit: fn(&mut GateMode)| {
        let mut gate = GateMode::default();
        edit(&mut gate);
        move |s: &mut Settings| s.gate = Some(gate.clone())
    };
    accepted(gate(|_| {}));
    accepted(gate(|g| g.advertise = Some([203, 0, 113, 7].into())));
    accepted(gate(|g| {
        g.tls_sans = vec!["*.example.org".to_owned(), "2001:db8::7".to_owned()];
    }));
    for address in ["127.0.0.1", "0.0.0.0", "224.0.0.1", "::1", "::"] {
        let address = address.parse().unwrap();
        let advertise = |s: &mut Settings| {
            s.gate = Some(GateMode {
                advertise: Some(address),
                ..GateMode::default()
            });
        };
        assert_eq!(refused(advertise), RenderError::Advertise(address));
    }
    refused(gate(|g| {
        g.audit_url = "http://127.0.0.1:9445/audit".to_owned();
    }));
    // Off loopback it needs a client certificate, as the others do.
    refused(gate(|g| {
        g.audit_url = "https://192.0.2.1:9445/audit".to_owned();
    }));
    for name in ["", "a b", "a,b", "a\n"] {
        let names = |s: &mut Settings| {
            s.gate = Some(GateMode {
                tls_sans: vec![name.to_owned()],
                ..GateMode::default()
            });
        };
        refused(names);
    }
}

#[test]
fn refuses_audiences_that_would_be_none_or_several() {
    for audiences in [
        vec![],
        vec!["a,b".to_owned()],
        vec![String::new()],
        vec!["a b".to_owned()],
    ] {
        assert_eq!(
            refused(|s| s.audiences = audiences.clone()),
            RenderError::Audiences
        );
    }
}

#[test]
fn refuses_a_component_that_the_helm_controller_would_install() {
    let error = refused(|s| s.packaged_components = [PackagedComponent::Traefik].into());
    assert_eq!(error, RenderError::NeedsHelm);
}

proptest! {
    #[test]
    fn any_text_as_url_is_judged_without_panic(url in ".*") {
        let _ = host_of(&url);
        let _ = host_of(&format!("https://{url}"));
    }
}
