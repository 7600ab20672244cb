use proptest::prelude::*;

use super::*;

const TIMES: Times = Times {
    grace: Duration::from_millis(100),
    retention: Duration::from_secs(1),
    warn_before: Duration::from_millis(240),
};

const fn usable(tier: Tier, until: u64) -> OwnerStanding {
    OwnerStanding::Usable(Usable {
        tier,
        until: UnixMillis(until),
        next: UnixMillis(until),
        complete: true,
    })
}

const FAR: u64 = 1_000_000_000;

fn marks(state: Option<State>, ended_at: Option<u64>) -> Marks {
    Marks {
        state,
        tier: state.map(|_| Tier::Developer),
        ended_at: ended_at.map(UnixMillis),
        warned: None,
    }
}

fn step(marks: &Marks, standing: &OwnerStanding, now: u64) -> Step {
    next(marks, standing, UnixMillis(now), &TIMES).step
}

#[test]
fn a_life_goes_from_state_to_state() {
    use State::{Active, Ended, Stopped};
    let developer = usable(Tier::Developer, FAR);
    let (gone, unknown) = (OwnerStanding::None, OwnerStanding::Unknown);
    for (state, ended_at, standing, now, expected) in [
        (None, None, developer, 0, Step::Activate { back: false }),
        (Some(Active), None, developer, 0, Step::Keep(Active)),
        (
            Some(Active),
            None,
            usable(Tier::Admin, FAR),
            0,
            Step::ChangeTier,
        ),
        (
            Some(Ended),
            Some(0),
            developer,
            50,
            Step::Activate { back: true },
        ),
        (
            Some(Stopped),
            Some(0),
            developer,
            5_000,
            Step::Activate { back: true },
        ),
        (None, None, gone, 7, Step::End),
        (Some(Active), None, gone, 7, Step::End),
        (Some(Ended), Some(0), gone, 99, Step::Keep(Ended)),
        (Some(Ended), Some(0), gone, 100, Step::Stop),
        (Some(Stopped), Some(0), gone, 999, Step::Keep(Stopped)),
        (Some(Stopped), Some(0), gone, 1_000, Step::Delete),
        // However late somebody looks: workloads stop before the namespace goes.
        (Some(Ended), Some(0), gone, 1_000_000, Step::Stop),
        // The end of an active namespace is nobody's end: it ended now.
        (Some(Active), Some(0), gone, 1_000_000, Step::End),
        // Unreadable, and in the future: ended now.
        (Some(Stopped), None, gone, 1_000_000, Step::End),
        (Some(Ended), Some(8), gone, 7, Step::End),
        (None, None, unknown, 0, Step::Wait),
        (Some(Active), None, unknown, 0, Step::Keep(Active)),
        (Some(Ended), Some(0), unknown, 1_000_000, Step::Keep(Ended)),
        (
            Some(Stopped),
            Some(0),
            unknown,
            1_000_000,
            Step::Keep(Stopped),
        ),
    ] {
        let found = step(&marks(state, ended_at), &standing, now);
        assert_eq!(
            found, expected,
            "{state:?} {ended_at:?} {standing:?} at {now}"
        );
    }
}

#[test]
fn without_a_seal_there_are_no_pods_and_with_one_there_are() {
    let pods =
        |state, standing| next(&marks(state, Some(0)), &standing, UnixMillis(1), &TIMES).pods;
    for state in [
        None,
        Some(State::Active),
        Some(State::Ended),
        Some(State::Stopped),
    ] {
        assert!(pods(state, usable(Tier::Developer, FAR)));
        assert!(!pods(state, OwnerStanding::None));
    }
    assert!(pods(Some(State::Active), OwnerStanding::Unknown));
    assert!(!pods(Some(State::Ended), OwnerStanding::Unknown));
    assert!(!pods(Some(State::Stopped), OwnerStanding::Unknown));
}

#[test]
fn a_tier_falls_only_when_all_seals_were_read() {
    let admin = Marks {
        tier: Some(Tier::Admin),
        ..marks(Some(State::Active), None)
    };
    let partial = OwnerStanding::Usable(Usable {
        tier: Tier::Developer,
        until: UnixMillis(FAR),
        next: UnixMillis(FAR),
        complete: false,
    });
    assert_eq!(step(&admin, &partial, 0), Step::Keep(State::Active));
    assert_eq!(
        step(&admin, &usable(Tier::Developer, FAR), 0),
        Step::ChangeTier
    );
    let rise = next(
        &marks(Some(State::Active), None),
        &usable(Tier::Super, FAR),
        UnixMillis(0),
        &TIMES,
    );
    assert_eq!((rise.step, rise.tier), (Step::ChangeTier, Tier::Super));
}

#[test]
fn an_owner_is_warned_twice_of_each_expiry_and_no_more() {
    let mut marks = marks(Some(State::Active), None);
    let mut given = Vec::new();
    for now in 0..1_000 {
        let next = next(
            &marks,
            &usable(Tier::Developer, 1_000),
            UnixMillis(now),
            &TIMES,
        );
        if let Some(warned) = next.warn {
            given.push((now, warned.times));
            marks.warned = Some(warned);
        }
    }
    assert_eq!(given, [(760, 1), (990, 2)]);
    // Renewed: another expiry, other warnings.
    let renewed = next(
        &marks,
        &usable(Tier::Developer, 2_000),
        UnixMillis(1_760),
        &TIMES,
    );
    assert_eq!(renewed.warn.map(|warned| warned.times), Some(1));
    // Late: one warning, not two.
    marks.warned = None;
    let late = next(
        &marks,
        &usable(Tier::Developer, 1_000),
        UnixMillis(999),
        &TIMES,
    );
    assert_eq!(late.warn.map(|warned| warned.times), Some(2));
}

#[test]
fn it_is_looked_at_again_when_something_is_due() {
    let look = |state, ended_at, standing, now| {
        next(&marks(state, ended_at), &standing, UnixMillis(now), &TIMES).look_again
    };
    let gone = OwnerStanding::None;
    let ms = Duration::from_millis;
    let active = Some(State::Active);
    assert_eq!(
        look(active, None, usable(Tier::Developer, 1_000), 0),
        ms(760)
    );
    assert_eq!(
        look(active, None, usable(Tier::Developer, 1_000), 800),
        ms(190)
    );
    assert_eq!(
        look(active, None, usable(Tier::Developer, FAR), 0),
        LOOK_AGAIN
    );
    assert_eq!(look(active, None, gone, 7), ms(100));
    assert_eq!(look(Some(State::Ended), Some(0), gone, 30), ms(70));
    assert_eq!(look(Some(State::Ended), Some(0), gone, 100), ms(900));
    assert_eq!(look(Some(State::Stopped), Some(0), gone, 200), ms(800));
}

#[test]
fn nothing_is_deleted_before_the_grace_is_over_whatever_is_configured() {
    let times = Times {
        grace: Duration::from_secs(1),
        retention: Duration::ZERO,
        ..TIMES
    };
    let deadlines = times.deadlines(UnixMillis(5));
    assert_eq!(deadlines.deletes_at, UnixMillis(1_005));
    let endless = Times {
        retention: Duration::MAX,
        ..TIMES
    };
    assert_eq!(
        endless.deadlines(UnixMillis(5)).deletes_at,
        UnixMillis(u64::MAX)
    );
}

/// A namespace as the controller leaves it after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Model {
    marks: Marks,
    deleted: bool,
}

impl Model {
    fn take(&mut self, next: &Next, now: u64) {
        match next.step {
            Step::Wait | Step::Keep(_) => {}
            Step::Activate { .. } | Step::ChangeTier => {
                self.marks.state = Some(State::Active);
                self.marks.tier = Some(next.tier);
                self.marks.ended_at = None;
            }
            Step::End => {
                self.marks.state = Some(State::Ended);
                self.marks.tier = Some(next.tier);
                self.marks.ended_at = Some(UnixMillis(now));
            }
            Step::Stop => self.marks.state = Some(State::Stopped),
            Step::Delete => self.deleted = true,
        }
    }
}

fn standings() -> impl Strategy<Value = OwnerStanding> {
    prop_oneof![
        Just(OwnerStanding::None),
        Just(OwnerStanding::Unknown),
        (0_u64..5_000, any::<bool>()).prop_map(|(until, complete)| OwnerStanding::Usable(Usable {
            tier: Tier::Developer,
            until: UnixMillis(until),
            next: UnixMillis(until),
            complete,
        })),
    ]
}

proptest! {
    #[test]
    fn every_life_obeys_the_laws(looks in proptest::collection::vec((0_u64..400, standings()), 1..60)) {
        let mut model = Model { marks: Marks::default(), deleted: false };
        let mut now = 0;
        for (passed, standing) in looks {
            now += passed;
            let before = model;
            let next = next(&model.marks, &standing, UnixMillis(now), &TIMES);
            model.take(&next, now);
            prop_assert!(next.look_again <= LOOK_AGAIN);
            match standing {
                OwnerStanding::Usable(_) => {
                    prop_assert_eq!(model.marks.state, Some(State::Active));
                    prop_assert!(next.pods && !model.deleted);
                }
                OwnerStanding::Unknown => prop_assert_eq!(model, before),
                OwnerStanding::None => {
                    prop_assert!(!next.pods);
                    let ended_at = model.marks.ended_at.unwrap().0;
                    if before.marks.state > Some(State::Active) {
                        prop_assert_eq!(model.marks.ended_at, before.marks.ended_at);
                    }
                    if model.marks.state == Some(State::Stopped) {
                        prop_assert!(before.marks.state >= Some(State::Ended));
                        prop_assert!(now >= ended_at + 100);
                    }
                    if model.deleted {
                        prop_assert_eq!(before.marks.state, Some(State::Stopped));
                        prop_assert!(now >= ended_at + 1_000);
                    }
                }
            }
            if model.deleted {
                break;
            }
        }
    }

    #[test]
    fn an_abandoned_namespace_is_deleted_in_the_end(start in 0_u64..1_000) {
        let mut model = Model { marks: marks(Some(State::Active), None), deleted: false };
        let mut now = start;
        for _ in 0..10 {
            let next = next(&model.marks, &OwnerStanding::None, UnixMillis(now), &TIMES);
            model.take(&next, now);
            now += u64::try_from(next.look_again.as_millis()).unwrap();
        }
        prop_assert!(model.deleted);
    }
}
