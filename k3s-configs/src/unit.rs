//! Paths in systemd's unit files.
//!
//! Source: systemd.syntax(7), "Quoting"; systemd.unit(5), "Specifiers"; systemd.service(5), "Command
//!         lines".

use std::path::Path;

/// A setting that is one path and nothing else, as `ListenStream=`.
pub(crate) fn whole(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%%")
}

/// A word of a list of paths, or the program of a command line.
pub(crate) fn word(path: &Path) -> String {
    quoted(&whole(path))
}

/// A later word of a command line, where `$` would begin a variable.
pub(crate) fn argument(path: &Path) -> String {
    quoted(&whole(path).replace('$', "$$"))
}

/// A word of a list of folders that need not be there.
pub(crate) fn if_there(path: &Path) -> String {
    quoted(&format!("-{}", whole(path)))
}

fn quoted(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\' | ';');
    if word.chars().all(plain) {
        return word.to_owned();
    }
    let escaped = word.replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_systemd_is_told_as_it_is() {
        for (path, as_word, as_argument) in [
            ("/usr/bin/a", "/usr/bin/a", "/usr/bin/a"),
            ("/a b/c", "\"/a b/c\"", "\"/a b/c\""),
            ("/a%i", "/a%%i", "/a%%i"),
            ("/a$b", "/a$b", "/a$$b"),
            (r#"/a"\b"#, r#""/a\"\\b""#, r#""/a\"\\b""#),
        ] {
            assert_eq!(word(Path::new(path)), as_word);
            assert_eq!(argument(Path::new(path)), as_argument);
        }
        assert_eq!(whole(Path::new("/a b%")), "/a b%%");
        assert_eq!(if_there(Path::new("/a b")), "\"-/a b\"");
    }
}
