//! A history that was tampered with is caught, law by law; one that was not is in order.

use muster_model::{SignedDuration, TargetOutcome, Timestamp};

use super::super::history::{Entry, Happening, Page};
use super::super::verify::{GRACE, Law, Ordered, Seen, Verdict, check};

const DEADLINE: i64 = 1_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn entry(what: Happening, target: u32, detail: u64) -> Entry {
    Entry { what, target, detail }
}

fn ordered(targets: u32, concurrency: u32, errors_allowed: u32) -> Ordered {
    Ordered {
        targets,
        concurrency,
        errors_allowed,
        deadline: at(DEADLINE),
    }
}

/// One target from its sending to its end.
fn life(target: u32, outcome: TargetOutcome) -> [Entry; 4] {
    [
        entry(Happening::Sent, target, 1),
        entry(Happening::Accepted, target, 0),
        entry(Happening::Reported, target, 3),
        entry(Happening::Ended(outcome), target, 0),
    ]
}

fn page(second: i64, entries: impl IntoIterator<Item = Entry>) -> Page {
    Page {
        at: at(second),
        entries: entries.into_iter().collect(),
    }
}

/// Three nodes one after the other, all well.
fn good() -> Vec<Page> {
    let start = page(1, [entry(Happening::TakenUp, 0, 1)]);
    let lives = (0..3).map(|target| page(2 + i64::from(target), life(target, TargetOutcome::Success)));
    std::iter::once(start).chain(lives).collect()
}

fn seen() -> Seen {
    Seen {
        outcomes: vec![Some(TargetOutcome::Success); 3],
        completed: 3,
        errors: 0,
        delivery_timed_out: 0,
        is_final: true,
        details: "Success".to_owned(),
    }
}

fn verdict(pages: &[Page]) -> Verdict {
    check(&ordered(3, 1, 0), pages, Some(&seen()), at(10))
}

/// Exactly this law is broken.
fn breaks(law: Law, verdict: &Verdict) {
    assert!(!verdict.holds(law), "{law} is not found broken");
    for other in Law::ALL.into_iter().filter(|other| *other != law) {
        assert!(verdict.holds(other), "{other}: {:?}", verdict.violations);
    }
}

#[test]
fn a_history_that_is_true_is_in_order() {
    assert_eq!(verdict(&good()).violations, []);
    assert_eq!(verdict(&good()).entries, 13);
}

#[test]
fn a_target_that_ends_twice_is_found() {
    let mut pages = good();
    pages.push(page(6, [entry(Happening::Ended(TargetOutcome::Failed), 1, 0)]));
    breaks(Law::OneEnd, &verdict(&pages));
}

#[test]
fn a_target_without_an_end_is_found_once_the_deadline_and_a_grace_are_over() {
    let mut pages = good();
    pages[3].entries.pop();
    let mut seen = seen();
    (seen.outcomes[2], seen.completed, seen.is_final) = (None, 2, false);
    seen.details = "InProgress".to_owned();
    let ordered = ordered(3, 1, 0);
    assert_eq!(check(&ordered, &pages, Some(&seen), at(DEADLINE)).violations, []);
    let late = at(DEADLINE) + GRACE + SignedDuration::from_secs(1);
    breaks(Law::OneEnd, &check(&ordered, &pages, Some(&seen), late));
}

#[test]
fn an_end_long_after_the_deadline_is_found_unless_nobody_was_there() {
    let late = DEADLINE + GRACE.as_secs() + 5;
    let mut pages = good();
    pages[3].entries.pop();
    pages.push(page(late, [entry(Happening::Ended(TargetOutcome::Success), 2, 0)]));
    breaks(Law::OneEnd, &verdict(&pages));
    pages
        .last_mut()
        .unwrap()
        .entries
        .insert(0, entry(Happening::TakenUp, 0, 2));
    assert_eq!(verdict(&pages).violations, []);
}

#[test]
fn work_that_is_sent_again_to_a_node_that_has_it_is_found_unless_a_crash_explains_it() {
    let mut pages = good();
    pages[1].entries.insert(2, entry(Happening::Sent, 0, 2));
    breaks(Law::OnceOnly, &verdict(&pages));
    pages[1].entries.insert(2, entry(Happening::TakenUp, 0, 2));
    assert_eq!(verdict(&pages).violations, []);
}

#[test]
fn a_sending_that_is_missing_from_the_count_is_found() {
    let mut pages = good();
    pages[1].entries[0].detail = 2;
    breaks(Law::OnceOnly, &verdict(&pages));
}

#[test]
fn a_node_that_reports_on_after_its_end_is_found() {
    let mut pages = good();
    pages.push(page(6, [entry(Happening::Reported, 1, 4)]));
    breaks(Law::OnceOnly, &verdict(&pages));
}

#[test]
fn a_sending_after_the_deadline_or_to_a_stranger_is_found() {
    let mut pages = good();
    pages[3].at = at(DEADLINE);
    breaks(Law::OnceOnly, &verdict(&pages));
    let mut pages = good();
    pages.push(page(6, [entry(Happening::Sent, 3, 1)]));
    breaks(Law::OnceOnly, &verdict(&pages));
}

#[test]
fn more_in_flight_than_allowed_is_found() {
    let mut pages = good();
    let end = pages[1].entries.pop().unwrap();
    pages[2].entries.insert(1, end);
    breaks(Law::Limits, &verdict(&pages));
}

#[test]
fn a_ramp_that_is_skipped_is_found() {
    let all_at_once = (0..3).map(|target| entry(Happening::Sent, target, 1));
    let pages = [page(1, all_at_once)];
    let found = check(&ordered(3, 3, 0), &pages, None, at(2));
    breaks(Law::Limits, &found);
}

#[test]
fn a_sending_after_the_breach_or_the_cancel_is_found() {
    let mut pages = good();
    pages[1].entries[3].what = Happening::Ended(TargetOutcome::Failed);
    pages[1].entries.push(entry(Happening::Breached, 0, 0));
    let mut seen = seen();
    (seen.outcomes[0], seen.errors) = (Some(TargetOutcome::Failed), 1);
    seen.details = "Failed".to_owned();
    breaks(Law::Limits, &check(&ordered(3, 1, 0), &pages, Some(&seen), at(10)));
    pages[1].entries.pop();
    breaks(Law::Limits, &check(&ordered(3, 1, 0), &pages, Some(&seen), at(10)));

    let mut pages = good();
    pages[2].entries.insert(0, entry(Happening::Cancelled, 0, 0));
    seen = self::seen();
    seen.details = "Cancelled".to_owned();
    breaks(Law::Limits, &check(&ordered(3, 1, 0), &pages, Some(&seen), at(10)));
}

#[test]
fn a_target_that_was_spared_without_a_breach_is_found() {
    let mut pages = good();
    pages[3].entries = vec![entry(Happening::Ended(TargetOutcome::Terminated), 2, 0)];
    let mut seen = seen();
    seen.outcomes[2] = Some(TargetOutcome::Terminated);
    breaks(Law::Limits, &check(&ordered(3, 1, 0), &pages, Some(&seen), at(10)));
}

#[test]
fn counters_and_statuses_that_do_not_agree_are_found() {
    let check_with = |spoil: &dyn Fn(&mut Seen)| {
        let mut seen = seen();
        spoil(&mut seen);
        breaks(Law::Agreement, &check(&ordered(3, 1, 0), &good(), Some(&seen), at(10)));
    };
    check_with(&|seen| seen.completed = 2);
    check_with(&|seen| seen.errors = 1);
    check_with(&|seen| seen.delivery_timed_out = 1);
    check_with(&|seen| seen.details = "Incomplete".to_owned());
    check_with(&|seen| seen.is_final = false);
    check_with(&|seen| {
        seen.outcomes[1] = Some(TargetOutcome::Failed);
        (seen.errors, seen.details) = (1, "Failed".to_owned());
    });
}

#[test]
fn a_silence_that_nobody_noticed_is_found() {
    let mut pages = good();
    pages[3].entries.truncate(1);
    let mut seen = seen();
    (seen.outcomes[2], seen.completed, seen.is_final) = (None, 2, false);
    seen.details = "InProgress".to_owned();
    let ordered = ordered(3, 1, 0);
    breaks(Law::Timers, &check(&ordered, &pages, Some(&seen), at(500)));
    pages.push(page(36, [entry(Happening::Parked, 2, 0)]));
    assert_eq!(check(&ordered, &pages, Some(&seen), at(500)).violations, []);
}

#[test]
fn a_history_that_was_cut_is_not_held_against_what_is_missing() {
    let mut pages = good();
    pages[3].entries = vec![entry(Happening::Cut, 0, 0)];
    let found = verdict(&pages);
    assert!(found.is_cut && found.violations.is_empty(), "{:?}", found.violations);
}
