//! How many connections this process has files for.

/// Files of everything else in the process.
const RESERVE: usize = 1_024;
const LINE: &str = "Max open files";

/// Each takes two.
pub(super) fn connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    of(&limits)
}

fn of(limits: &str) -> usize {
    let line = limits.lines().find_map(|line| line.strip_prefix(LINE));
    let soft = line.and_then(|line| line.split_whitespace().next());
    match soft.map(str::parse::<usize>) {
        // At least some, however small: a gate that lets nobody in helps nobody.
        Some(Ok(soft)) => (soft.saturating_sub(RESERVE.min(soft / 2)) / 2).max(16),
        // "unlimited", or no such file.
        _ => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_says() {
        let line = |soft| {
            format!("Max processes 1 1 p\nMax open files            {soft}    4096   files\n")
        };
        assert_eq!(of(&line("65536")), 32_256);
        assert_eq!(of(&line("1024")), 256);
        assert_eq!(of(&line("unlimited")), usize::MAX);
        assert_eq!(of(""), usize::MAX);
        assert!(connections() > 0);
    }
}
