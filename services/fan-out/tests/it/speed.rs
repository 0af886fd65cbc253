use std::time::{Duration, Instant};
use futures::StreamExt;
use muster_model::{NodeId, SignedDuration};
use muster_proto::agent::v1::record::Fact;
use muster_proto::agent::v1::{Ack, Record, ReplyRequest, RunResult, RunStatus, StepResult, Verdict, WorkItem};
use muster_proto::fanout::v1::TargetState;
use muster_wire::subject;
use prost::Message;
use crate::world::{World, order_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speed() {
    let n: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let window = std::env::var("W").unwrap_or("100%".to_owned());
    let delay = Duration::from_millis(std::env::var("D").ok().and_then(|n| n.parse().ok()).unwrap_or(0));
    let world = World::new().await;
    let ids: Vec<NodeId> = (0..n).map(|_| NodeId::random()).collect();
    for c in 0..8 {
        let nats = async_nats::ConnectOptions::new().client_capacity(64 * 1024).connect(world.nats_server.url()).await.unwrap();
        for id in ids.iter().skip(c).step_by(8) {
            let mut mine = nats.subscribe(subject::everything_for(id)).await.unwrap();
            let (nats, id) = (nats.clone(), id.clone());
            tokio::spawn(async move {
                let inbox = nats.new_inbox();
                while let Some(m) = mine.next().await {
                    if m.payload.len() < 4 { continue; }
                    let item = WorkItem::decode(m.payload).unwrap();
                    let ack = Ack { run_id: item.run_id.clone(), verdict: Verdict::Accepted.into(), ..Default::default() };
                    nats.publish(subject::up(&id, "ack"), ack.encode_to_vec().into()).await.unwrap();
                    if !delay.is_zero() { tokio::time::sleep(delay).await; }
                    let step = StepResult { name: "simulated".into(), action: "aws:runShellScript".into(), status: 1, ..Default::default() };
                    let reply = ReplyRequest { run_id: item.run_id, records: vec![
                        Record { sequence: 1, at: None, fact: Some(Fact::StepResult(step)) },
                        Record { sequence: 2, at: None, fact: Some(Fact::RunResult(RunResult { status: RunStatus::Success.into(), trace: String::new() })) } ] };
                    nats.publish_with_reply(subject::rpc(&id, "reply"), inbox.clone(), reply.encode_to_vec().into()).await.unwrap();
                }
            });
        }
        nats.flush().await.unwrap();
    }
    // floor
    {
        let nats = world.nats.clone();
        let echo: Vec<String> = (0..n).map(|i| format!("floor.{i}")).collect();
        for c in 0..8 {
            let e = async_nats::ConnectOptions::new().client_capacity(64 * 1024).connect(world.nats_server.url()).await.unwrap();
            for s in echo.iter().skip(c).step_by(8) {
                let mut mine = e.subscribe(s.clone()).await.unwrap();
                let e = e.clone();
                tokio::spawn(async move { while let Some(m) = mine.next().await { let _ = e.publish(m.reply.unwrap(), "done".into()).await; } });
            }
            e.flush().await.unwrap();
        }
        let big = async_nats::ConnectOptions::new().subscription_capacity(128*1024).connect(world.nats_server.url()).await.unwrap();
        let _ = nats;
        for _ in 0..3 {
            let inbox = big.new_inbox();
            let mut a = big.subscribe(inbox.clone()).await.unwrap();
            big.flush().await.unwrap();
            let s = Instant::now();
            for e in &echo { big.publish_with_reply(e.clone(), inbox.clone(), bytes::Bytes::from(vec![b'x'; 1024])).await.unwrap(); }
            for _ in 0..n { a.next().await; }
            println!("floor {:?}", s.elapsed());
        }
    }
    let _service = world.start("one").await;
    for round in 0..4 {
        let mut order = order_for(ids.iter().cloned(), &window, "0", SignedDuration::from_hours(1));
        order.work.as_mut().unwrap().document_content = "x".repeat(800);
        let s = Instant::now();
        world.roll_out(&order).await;
        let accepted = s.elapsed();
        let want = n * (round + 1);
        loop {
            let ended = world.owner.ended();
            if ended >= want { break; }
            if s.elapsed() > Duration::from_secs(60) { println!("stuck at {ended} of {want}"); break; }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        println!("round {round}: accepted {accepted:?} all {:?} told {} calls {}", s.elapsed(), world.owner.told_count(), world.owner.calls());
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let address = _service.address();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut t = tokio::net::TcpStream::connect(address).await.unwrap();
    t.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    t.read_to_string(&mut text).await.unwrap();
    for l in text.lines().filter(|l| l.contains("fan_out") && (l.contains("_sum") || l.contains("_count") || l.contains("_total"))) { println!("{l}"); }
    let _ = TargetState::Success;
}
