// SPDX-License-Identifier: GPL-2.0-or-later
//! The countdown under every interleaving that the C11 memory model allows. tests/lkdtm/loom runs it.

#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use modlogic::lkdtm::countdown::Countdown;

/// `threads` with `each` hits against a countdown from `from`; returns nothing, asserts in every execution.
fn model(threads: usize, each: u32, from: u32) {
    loom::model(move || {
        let shared = Arc::new((Countdown::new(Some(from)), AtomicU32::new(0)));
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    for _ in 0..each {
                        if shared.0.hit() {
                            shared.1.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        let hits = threads as u32 * each;
        assert_eq!(shared.1.load(Ordering::Relaxed), u32::from(hits >= from));
        assert_eq!(shared.0.hits(), u64::from(hits));
        assert_eq!(shared.0.fired(), hits >= from);
    });
}

#[test]
fn two_threads_with_the_shot_in_the_middle() {
    model(2, 2, 2);
}

#[test]
fn three_threads_that_race_for_the_last_hit() {
    model(3, 1, 3);
}

#[test]
fn three_threads_that_do_not_get_there() {
    model(3, 1, 4);
}

#[test]
fn three_threads_when_the_first_hit_fires() {
    model(3, 1, 1);
}

#[test]
fn a_reader_never_sees_the_countdown_go_up() {
    loom::model(|| {
        let shared = Arc::new(Countdown::new(Some(2)));
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || (shared.hit(), shared.hit()))
        };
        let (first, second) = (shared.left(), shared.left());
        assert!(second <= first);
        assert_eq!(worker.join().unwrap(), (false, true));
        assert_eq!(shared.left(), 0);
    });
}
