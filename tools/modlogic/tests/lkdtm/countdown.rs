// SPDX-License-Identifier: GPL-2.0-or-later
use modlogic::lkdtm::countdown::Countdown;
use std::sync::atomic::{AtomicU32, Ordering};

#[test]
fn hit_when_count_is_one_fires_at_once() {
    assert!(Countdown::new(Some(1)).hit());
}

#[test]
fn hit_fires_on_the_nth_and_never_again() {
    let c = Countdown::new(Some(5));
    let fired: Vec<u32> = (1..=20).filter(|_| c.hit()).collect();
    assert_eq!(fired, [5]);
    assert_eq!((c.hits(), c.left(), c.fired()), (20, 0, true));
}

#[test]
fn left_counts_down_with_the_hits() {
    let c = Countdown::new(Some(3));
    assert_eq!((c.hits(), c.left(), c.fired()), (0, 3, false));
    assert!(!c.hit());
    assert_eq!((c.hits(), c.left(), c.fired()), (1, 2, false));
}

#[test]
fn a_dry_run_only_counts() {
    let c = Countdown::new(None);
    assert!((0..1000).all(|_| !c.hit()));
    assert_eq!((c.hits(), c.left(), c.fired()), (1000, 0, false));
}

#[test]
fn the_greatest_count_is_kept_exactly() {
    let c = Countdown::new(Some(u32::MAX));
    assert!(!c.hit());
    assert_eq!(c.left(), u32::MAX - 1);
}

#[test]
fn hits_from_many_threads_fire_exactly_once_and_none_is_lost() {
    const THREADS: u32 = 8;
    const EACH: u32 = 20_000;
    let (c, fired) = (Countdown::new(Some(THREADS * EACH / 2)), AtomicU32::new(0));
    std::thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                for _ in 0..EACH {
                    fired.fetch_add(u32::from(c.hit()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(fired.load(Ordering::Relaxed), 1);
    assert_eq!(c.hits(), u64::from(THREADS * EACH));
}
