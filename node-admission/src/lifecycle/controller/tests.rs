use super::*;

#[test]
fn pauses_double_up_to_a_bound() {
    let pauses = [1, 2, 3, 7, 8, u32::MAX].map(|times| pause(times).as_millis());
    assert_eq!(pauses, [500, 1_000, 2_000, 30_000, 30_000, 30_000]);
}

#[test]
fn looks_by_the_clock_are_spread_and_deadlines_are_not() {
    let soon = Duration::from_secs(3);
    assert_eq!(spread("a", soon), soon);
    let spread: Vec<Duration> = ["a", "b", "c"].map(|name| spread(name, LOOK_AGAIN)).into();
    let within = LOOK_AGAIN / 5 * 4..=LOOK_AGAIN;
    assert!(
        spread.iter().all(|after| within.contains(after)),
        "{spread:?}"
    );
    assert!(spread.windows(2).any(|pair| pair.first() != pair.last()));
}
