use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const V1_OWN: &str = include_str!("../../../tests/fixtures/v1/blkio.throttle.io_service_bytes");
const V1_ALL: &str =
    include_str!("../../../tests/fixtures/v1/blkio.throttle.io_service_bytes_recursive");
const V1_IDLE: &str = include_str!("../../../tests/fixtures/v1/idle");
const V1_PROCESS: &str = include_str!("../../../tests/fixtures/v1/proc-cgroup");
const V2: &str = include_str!("../../../tests/fixtures/v2/io.stat");
const V2_BARE: &str = include_str!("../../../tests/fixtures/v2/io.stat-without-figures");
const V2_PROCESS: &str = include_str!("../../../tests/fixtures/v2/proc-cgroup");

#[test]
fn reads_v1() {
    assert_eq!(
        parse_v1(V1_OWN),
        Some(Io {
            read: 7_389_184,
            written: 7_340_032
        })
    );
    assert_eq!(
        parse_v1(V1_ALL),
        Some(Io {
            read: 10_534_912,
            written: 7_340_032
        })
    );
    // Two disks are added up, and operations that are neither are left.
    let two = "8:0 Read 1\n8:0 Write 2\n8:16 Read 10\n8:16 Write 20\n8:16 Async 99\nTotal 33\n";
    assert_eq!(
        parse_v1(two),
        Some(Io {
            read: 11,
            written: 22
        })
    );
}

#[test]
fn a_v1_table_without_disks_is_no_zero() {
    assert_eq!(parse_v1(V1_IDLE), None);
    assert_eq!(parse_v1(""), None);
}

#[test]
fn reads_v2() {
    assert_eq!(
        parse_v2(V2),
        Some(Io {
            read: 1_586_176,
            written: 314_781_696
        })
    );
    assert_eq!(
        parse_v2(V2_BARE),
        Some(Io {
            read: 4096,
            written: 0
        })
    );
    assert_eq!(parse_v2(""), Some(Io::default()));
    assert_eq!(parse_v2("no such thing"), None);
}

#[test]
fn finds_a_process_in_both() {
    let v1 = Groups::parse(V1_PROCESS);
    assert_eq!(
        v1.blkio.as_deref(),
        Some("/kubepods/besteffort/pod8a5c/f00dfeed")
    );
    assert_eq!(v1.unified.as_deref(), Some("/"));
    let v2 = Groups::parse(V2_PROCESS);
    assert_eq!(v2.blkio, None);
    let pod = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod8a5c.slice";
    assert_eq!(v2.parent(pod).as_deref(), Some(pod));
    assert_eq!(
        v2.parent("kubepods-besteffort-pod8a5c.slice").as_deref(),
        Some(pod)
    );
    // A runtime's own folder for all pods is no pod.
    assert_eq!(v2.parent(""), None);
    assert_eq!(v2.parent("/k8s.io"), None);
}

#[test]
fn a_process_number_of_another_is_not_taken() {
    assert!(Groups::parse(V2_PROCESS).of("f00dfeed").is_some());
    assert_eq!(Groups::parse(V2_PROCESS).of("cafe"), None);
    assert_eq!(Groups::parse(V2_PROCESS).of(""), None);
    // What is left names the container.
    assert_eq!(
        Groups::parse(V1_PROCESS).of("f00dfeed").unwrap().unified,
        None
    );
}

#[test]
fn reads_what_is_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let cgroups = Cgroups {
        root: folder.path().to_owned(),
    };
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let v1 = |group: &str| Groups {
        blkio: Some(group.into()),
        unified: Some("/".into()),
    };
    let all = "blkio.throttle.io_service_bytes_recursive";
    put(&format!("blkio/pods/a/{all}"), V1_ALL);
    put(&format!("blkio/pods/b/{all}"), V1_IDLE);
    put("blkio/pods/c/blkio.throttle.io_service_bytes", V1_OWN);
    assert_eq!(cgroups.io(&v1("/pods/a")), parse_v1(V1_ALL));
    assert_eq!(cgroups.io(&v1("/pods/c")), parse_v1(V1_OWN));
    // Nobody is counted: absent. Others are: nothing was done yet.
    assert_eq!(cgroups.io(&v1("/pods/b")), None);
    put(&format!("blkio/{all}"), V1_ALL);
    assert_eq!(cgroups.io(&v1("/pods/b")), Some(Io::default()));
    assert_eq!(cgroups.io(&v1("/pods/gone")), None);
    assert_eq!(cgroups.io(&v1("/../pods/a")), None);

    let v2 = |group: &str| Groups {
        blkio: None,
        unified: Some(group.into()),
    };
    put("pods/a/io.stat", V2);
    put("unified/hybrid/io.stat", V2_BARE);
    assert_eq!(cgroups.io(&v2("/pods/a")), parse_v2(V2));
    assert_eq!(cgroups.io(&v2("/hybrid")), parse_v2(V2_BARE));
    assert_eq!(cgroups.io(&v2("/../pods/a")), None);
}

proptest! {
    #[test]
    fn no_text_panics(text in "(\\PC|\\s){0,400}", lines in "([0-9a-z:=/. ]|\n){0,400}") {
        for text in [text, lines] {
            let _ = parse_v1(&text);
            let _ = parse_v2(&text);
            let _ = Groups::parse(&text).parent(&text);
            let _ = inside(&text);
        }
    }

    #[test]
    fn sums_do_not_wrap(bytes in proptest::collection::vec(any::<u64>(), 1..8)) {
        let sum = bytes.iter().fold(0_u64, |sum, more| sum.saturating_add(*more));
        let (mut v1, mut v2) = (String::new(), String::new());
        for (disk, bytes) in bytes.iter().enumerate() {
            writeln!(v1, "8:{disk} Read {bytes}").unwrap();
            writeln!(v2, "8:{disk} wbytes={bytes} rios=1").unwrap();
        }
        prop_assert_eq!(parse_v1(&v1), Some(Io { read: sum, written: 0 }));
        prop_assert_eq!(parse_v2(&v2), Some(Io { read: 0, written: sum }));
    }
}
