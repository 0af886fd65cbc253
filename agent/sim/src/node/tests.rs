use super::*;

struct Scene {
    node: Node,
    tally: Tally,
    work: WorkItem,
    run: RunId,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let (id, run, tally) = (NodeId::random(), RunId::random(), Tally::default());
        let work = WorkItem {
            run_id: run.to_string(),
            node_id: id.to_string(),
            time_to_live_ms: 1,
            ..WorkItem::default()
        };
        Self {
            node: Node::new(3, id, tally.clone()),
            tally,
            work,
            run,
            now: Instant::now(),
        }
    }

    fn deliver(&mut self, outcome: Outcome) -> Vec<Effect> {
        let steps = Arc::new(Ok(vec![Step {
            name: "a".into(),
            action: "b".into(),
        }]));
        self.node.work(&self.work, None, steps, outcome, self.moment())
    }

    fn moment(&self) -> (Instant, Timestamp) {
        (self.now, Timestamp::UNIX_EPOCH)
    }

    fn accepted(&self) -> Effect {
        Effect::Ack(ack(self.run, Verdict::Accepted))
    }

    fn statuses(&self) -> Vec<RunStatus> {
        let news = self
            .node
            .news(self.run)
            .map(|(records, ..)| records)
            .unwrap_or_default();
        news.iter()
            .filter_map(|record| match &record.fact {
                Some(News::RunResult(result)) => Some(result.status()),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn a_run_without_delay_ends_at_once() {
    let mut scene = Scene::new();
    let effects = scene.deliver(Outcome::NOTHING);
    assert_eq!(effects, [scene.accepted(), Effect::Reply(scene.run)]);
    assert_eq!(scene.statuses(), [RunStatus::Success]);
    assert!(!scene.node.confirm(scene.run, 3));
    assert!(scene.node.news(scene.run).is_none() && scene.node.unfinished().is_empty());
    assert_eq!(scene.tally.of(scene.run).confirmed, 1);
}

#[test]
fn a_repetition_is_acknowledged_and_not_executed() {
    let mut scene = Scene::new();
    let second = Duration::from_secs(1);
    scene.deliver(Outcome::success_after(second));
    assert_eq!(scene.deliver(Outcome::success_after(second)), [scene.accepted()]);
    scene.now += second;
    assert_eq!(scene.node.wake(scene.run, scene.moment()), [Effect::Reply(scene.run)]);
    assert!(!scene.node.confirm(scene.run, 9));
    assert_eq!(
        scene.deliver(Outcome::NOTHING),
        [scene.accepted(), Effect::Reply(scene.run)]
    );
    assert_eq!(scene.statuses(), [RunStatus::Success], "the end is told again");
    let tally = scene.tally.of(scene.run);
    assert_eq!(
        (
            tally.deliveries[&3],
            tally.executions[&3],
            tally.most_running,
            tally.running
        ),
        (3, 1, 1, 0)
    );
}

#[test]
fn the_start_of_a_long_run_is_told_before_its_end() {
    let mut scene = Scene::new();
    scene.deliver(Outcome {
        end: End::Never,
        ..Outcome::NOTHING
    });
    scene.now += MOMENT;
    assert_eq!(scene.node.wake(scene.run, scene.moment()), [Effect::Reply(scene.run)]);
    assert_eq!(scene.node.news(scene.run).unwrap().0.len(), 1);
    assert_eq!(scene.node.unfinished(), [scene.run]);
}

#[test]
fn a_cancel_wins_before_and_during_but_not_after() {
    let mut before = Scene::new();
    before.node.cancel(before.run, Timestamp::UNIX_EPOCH);
    assert_eq!(
        before.deliver(Outcome::NOTHING),
        [before.accepted(), Effect::Reply(before.run)]
    );
    assert_eq!(before.statuses(), [RunStatus::Cancelled]);
    assert!(before.tally.of(before.run).executions.is_empty());

    let mut during = Scene::new();
    during.deliver(Outcome {
        end: End::Never,
        ..Outcome::NOTHING
    });
    during.node.cancel(during.run, Timestamp::UNIX_EPOCH);
    assert_eq!(during.statuses(), [RunStatus::Cancelled]);

    let mut after = Scene::new();
    after.deliver(Outcome::failure(1));
    after.node.cancel(after.run, Timestamp::UNIX_EPOCH);
    assert_eq!(after.statuses(), [RunStatus::Failed]);
    assert_eq!(after.tally.of(after.run).ended, 1);
}

#[test]
fn doors_differ() {
    let at = |door| Outcome {
        door,
        ..Outcome::NOTHING
    };
    let mut scene = Scene::new();
    assert!(scene.deliver(at(Door::Ignore)).is_empty());
    assert_eq!(
        scene.deliver(at(Door::Refuse)),
        [Effect::Ack(ack(scene.run, Verdict::Refused))]
    );
    let busy = Effect::Ack(Ack {
        retry_after_ms: 7,
        ..ack(scene.run, Verdict::Busy)
    });
    assert_eq!(scene.deliver(at(Door::Busy(1, 7))), [busy]);
    assert_eq!(
        scene.deliver(at(Door::Busy(1, 7))),
        [scene.accepted(), Effect::Reply(scene.run)]
    );

    let mut scene = Scene::new();
    let silent = Outcome {
        acknowledges: false,
        ..Outcome::NOTHING
    };
    assert_eq!(scene.deliver(silent), [Effect::Reply(scene.run)]);
    assert_eq!(
        scene.deliver(Outcome::NOTHING),
        [Effect::Reply(scene.run)],
        "it stays as it began"
    );
}
