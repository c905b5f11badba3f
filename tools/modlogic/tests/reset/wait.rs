// SPDX-License-Identifier: GPL-2.0-or-later
//! Waiting for one function, by the rules of PCIe 6.0 6.6.1.

use modlogic::reset::topology::Link;
use modlogic::reset::wait::{Answer, Look, Progress, Wait};

const SLOW: Link = Link::Express {
    fast: false,
    reports_active: true,
};
const FAST: Link = Link::Express {
    fast: true,
    reports_active: true,
};

/// Runs the clock until the wait ends; returns how and when.
fn run(mut wait: Wait, mut see: impl FnMut(u64) -> Look) -> (Progress, u64) {
    let mut now = wait.first_look();
    loop {
        match wait.step(now, see(now)) {
            Progress::At(next) => {
                assert!(next > now, "the wait stands still at {now} ms");
                now = next;
            }
            end => return (end, now),
        }
    }
}

const fn look(answer: Answer, link_active: Option<bool>) -> Look {
    Look {
        answer,
        link_active,
    }
}

#[test]
fn wait_when_device_is_prompt_takes_the_settling_time() {
    let ready = |_| look(Answer::Ready, Some(true));
    let below = |link| run(Wait::below(link, 100, 0, 60_000), ready);
    assert_eq!(below(SLOW), (Progress::Ready, 100));
    assert_eq!(below(FAST), (Progress::Ready, 100));
    assert_eq!(below(Link::Conventional), (Progress::Ready, 1100));
    assert_eq!(below(Link::Internal), (Progress::Ready, 0));
    assert_eq!(run(Wait::own(10, 5, 60_000), ready), (Progress::Ready, 15));
}

#[test]
fn wait_when_fast_link_trains_settles_after_the_link() {
    let wait = Wait::below(FAST, 100, 0, 60_000);
    let (end, at) = run(wait, |now| look(Answer::Ready, Some(now >= 500)));
    assert_eq!(end, Progress::Ready);
    assert!((600..=600 + 64).contains(&at), "{at}");
}

#[test]
fn wait_when_fast_link_stays_down_gives_up_after_a_second() {
    let (end, at) = run(Wait::below(FAST, 100, 0, 60_000), |_| {
        look(Answer::Silent, Some(false))
    });
    assert_eq!(end, Progress::LinkDown);
    assert!((1020..=1020 + 64).contains(&at), "{at}");
}

#[test]
fn wait_when_silent_without_link_gives_up_after_a_second() {
    let (end, at) = run(Wait::below(SLOW, 100, 0, 60_000), |_| {
        look(Answer::Silent, Some(false))
    });
    assert_eq!(end, Progress::Silent);
    assert!((1000..=1064).contains(&at), "{at}");
}

#[test]
fn wait_when_device_asks_for_retries_waits_to_the_deadline_and_no_longer() {
    for link in [Some(true), None] {
        let (end, at) = run(Wait::below(SLOW, 100, 0, 5000), |_| {
            look(Answer::Retry, link)
        });
        assert_eq!((end, at), (Progress::Silent, 5000));
    }
    let late = |now| {
        look(
            if now < 4000 {
                Answer::Retry
            } else {
                Answer::Ready
            },
            None,
        )
    };
    let (end, at) = run(Wait::below(SLOW, 100, 0, 5000), late);
    assert_eq!(end, Progress::Ready);
    assert!((4000..=4064).contains(&at), "{at}");
}
