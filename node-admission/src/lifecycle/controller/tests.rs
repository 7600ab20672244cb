use super::*;

#[test]
fn pauses_double_up_to_a_bound() {
    let pauses = [1, 2, 3, 7, 8, u32::MAX].map(|times| pause(times).as_millis());
    assert_eq!(pauses, [500, 1_000, 2_000, 30_000, 30_000, 30_000]);
}
