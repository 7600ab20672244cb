//! The reference under `docs/cli/` is what the program says of itself.

use std::path::Path;

#[test]
fn the_reference_of_the_command_line_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli");
    let pages = k3s_daas::cli_docs::render();
    if std::env::var_os("K3S_DAAS_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in &pages {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let mut found: Vec<String> = std::fs::read_dir(&folder)
        .expect("docs/cli is there")
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut expected: Vec<String> = pages.iter().map(|(name, _)| name.clone()).collect();
    expected.sort();
    let how = "make it anew with K3S_DAAS_WRITE_DOCS=1 cargo test -p k3s-daas --test docs";
    assert_eq!(found, expected, "{how}");
    for (name, text) in &pages {
        let written = std::fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(&written, text, "{name}: {how}");
    }
}
