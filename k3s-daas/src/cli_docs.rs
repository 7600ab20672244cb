//! The reference of the command line under `docs/cli/`, generated from the command line itself.

use std::fmt::Write;

use crate::config::keys;

/// File names and their contents.
pub fn render() -> Vec<(String, String)> {
    let mut root = crate::cli::command();
    root.build();
    let mut pages = vec![("README.md".to_owned(), overview(&root))];
    for command in root.get_subcommands() {
        if command.get_name() != "help" && !command.is_hide_set() {
            pages.push((format!("{}.md", command.get_name()), page(command)));
        }
    }
    pages.push(("configuration.md".to_owned(), configuration()));
    pages
}

fn help(command: &clap::Command) -> String {
    // A fixed width, so that the pages don't depend on a terminal.
    let text = command
        .clone()
        .term_width(100)
        .render_long_help()
        .to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

fn overview(root: &clap::Command) -> String {
    let mut text = "# k3s-daas\n\nGenerated from the program; do not edit.\n\n".to_owned();
    let _ = write!(
        text,
        "```text\n{}\n```\n\n| command | what it does |\n| --- | --- |\n",
        help(root)
    );
    for command in root
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
    {
        let name = command.get_name();
        let about = command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        let _ = writeln!(text, "| [`{name}`]({name}.md) | {about} |");
    }
    text += "\nAll keys of the configuration: [configuration.md](configuration.md).\n";
    text
}

fn page(command: &clap::Command) -> String {
    let mut text = format!(
        "# k3s-daas {}\n\nGenerated from the program; do not edit.\n",
        command.get_name()
    );
    section(command, &mut text);
    text
}

fn section(command: &clap::Command, text: &mut String) {
    let _ = write!(text, "\n```text\n{}\n```\n", help(command));
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        let _ = write!(text, "\n## {} {}\n", command.get_name(), sub.get_name());
        section(sub, text);
    }
}

fn configuration() -> String {
    let mut text = "# Configuration\n\nGenerated from the program; do not edit.\n\n\
        Every value is a key of the one file (`/etc/k3s-daas/config.yaml`, `--config`), a flag and a \
        variable. A flag beats a variable beats the file beats the default. Unknown keys are errors.\n\n\
        | key | flag | variable | default | meaning |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    for key in keys::all() {
        let default = match key.default {
            Some("") | None => "none".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let help: Vec<&str> = key.help.iter().map(|line| line.trim()).collect();
        let (name, flag, variable, help) = (key.name, key.flag(), key.variable(), help.join(" "));
        let _ = writeln!(
            text,
            "| `{name}` | `{flag}` | `{variable}` | {default} | {help} |"
        );
    }
    text
}
