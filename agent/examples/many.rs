//! Scratch measurement; not committed.
#![allow(warnings)]
use futures::StreamExt;
use muster_model::*;
use muster_proto::agent::v1::*;
use muster_proto::fleet::v1::*;
use prost::Message;
use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let agents: usize = args.next().unwrap().parse().unwrap();
    let binary = args.next().unwrap();
    let rounds: usize = args.next().map_or(10, |a| a.parse().unwrap());
    let nats = muster_harness::NatsServer::start().await;
    let client = nats.client().await;
    let mut sub = futures::stream::SelectAll::new();
    for s in [
        "muster.v1.api.Nodes.RegisterNode",
        "muster.v1.rpc.*.>",
        "muster.v1.up.*.ack",
    ] {
        sub.push(client.subscribe(s).await.unwrap());
    }
    client.flush().await.unwrap();
    let dir = muster_harness::Folder::new("bench");
    let mut children: Vec<Child> = Vec::new();
    let t0 = Instant::now();
    for i in 0..agents {
        children.push(
            Command::new(&binary)
                .args(["run", "--server", &nats.url(), "--log", "warn", "--state-dir"])
                .arg(dir.join(format!("a{i}")))
                .stdin(Stdio::null())
                .spawn()
                .unwrap(),
        );
    }
    let mut nodes: Vec<NodeId> = Vec::new();
    let mut pulls = 0;
    let mut handle = |m: &async_nats::Message, nodes: &mut Vec<NodeId>, pulls: &mut usize| -> Option<Vec<u8>> {
        let w: Vec<&str> = m.subject.split('.').collect();
        match w[4] {
            "RegisterNode" => {
                let n = NodeId::random();
                nodes.push(n.clone());
                Some(
                    RegisterNodeResult {
                        node_id: n.to_string(),
                        existing: false,
                    }
                    .encode_to_vec(),
                )
            }
            "hello" => Some(HelloResult::default().encode_to_vec()),
            "work" => {
                *pulls += 1;
                Some(PullResult::default().encode_to_vec())
            }
            _ => None,
        }
    };
    while pulls < agents {
        let m = sub.next().await.unwrap();
        if let Some(a) = handle(&m, &mut nodes, &mut pulls) {
            client.publish(m.reply.clone().unwrap(), a.into()).await.unwrap();
        }
    }
    println!("{agents} agents up after {:?}", t0.elapsed());
    let cpu = |children: &Vec<Child>| -> [u64; 4] {
        let mut t = [0; 4];
        for c in children {
            let s = std::fs::read_to_string(format!("/proc/{}/stat", c.id())).unwrap();
            let f: Vec<&str> = s.rsplit_once(") ").unwrap().1.split(' ').collect();
            for i in 0..4 {
                t[i] += f[11 + i].parse::<u64>().unwrap();
            }
        }
        t
    };
    let before = cpu(&children);
    let mut times = Vec::new();
    let mut acks_t = Vec::new();
    for _ in 0..rounds {
        let run = uuid::Uuid::new_v4().to_string();
        let doc = r#"{"schemaVersion":"2.2","parameters":{"commands":{"type":"StringList"}},"mainSteps":[{"action":"aws:runShellScript","name":"run","inputs":{"runCommand":"{{ commands }}","timeoutSeconds":60}}]}"#;
        let t = Instant::now();
        for n in &nodes {
            let w = WorkItem {
                run_id: run.clone(),
                node_id: n.to_string(),
                time_to_live_ms: 100000,
                command_id: run.clone(),
                document_name: "x".into(),
                document_version: "1".into(),
                document_content: doc.into(),
                document_format: "JSON".into(),
                parameters: [(
                    "commands".to_string(),
                    Values {
                        items: vec!["echo hi".into()],
                    },
                )]
                .into_iter()
                .collect(),
                ..Default::default()
            };
            client
                .publish(format!("muster.v1.dn.{n}.work"), w.encode_to_vec().into())
                .await
                .unwrap();
        }
        client.flush().await.unwrap();
        let (mut done, mut acks) = (0, 0);
        while done < agents {
            let m = sub.next().await.unwrap();
            if m.subject.ends_with("ack") {
                acks += 1;
                if acks == agents {
                    acks_t.push(t.elapsed());
                }
                continue;
            }
            if m.subject.ends_with("reply") {
                let r = ReplyRequest::decode(m.payload.as_ref()).unwrap();
                let last = r.records.last().unwrap();
                if let Some(record::Fact::RunResult(rr)) = &last.fact {
                    assert_eq!(rr.status, 1, "{r:?}");
                    done += 1;
                }
                client
                    .publish(
                        m.reply.clone().unwrap(),
                        ReplyResult {
                            confirmed_sequence: last.sequence,
                        }
                        .encode_to_vec()
                        .into(),
                    )
                    .await
                    .unwrap();
                continue;
            }
            if let Some(a) = handle(&m, &mut nodes, &mut pulls) {
                client.publish(m.reply.clone().unwrap(), a.into()).await.unwrap();
            }
        }
        times.push(t.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let after = cpu(&children);
    let per: Vec<f64> = (0..4)
        .map(|i| (after[i] - before[i]) as f64 * 10.0 / (rounds * agents) as f64)
        .collect();
    println!(
        "cpu ms per run: agent user {:.3} sys {:.3}; children user {:.3} sys {:.3}",
        per[0], per[1], per[2], per[3]
    );
    times.sort();
    acks_t.sort();
    println!(
        "run on {agents}: p50 {:?} min {:?} max {:?}; all acks p50 {:?}",
        times[times.len() / 2],
        times[0],
        times[times.len() - 1],
        acks_t[acks_t.len() / 2]
    );
    // floor: fork+exec of sh script with captured output, 2 at a time
    let script = dir.join("s.sh");
    std::fs::write(&script, "echo hi\n").unwrap();
    let mut floor = Vec::new();
    for _ in 0..rounds {
        let t = Instant::now();
        let n = agents;
        let hs: Vec<_> = (0..2)
            .map(|_| {
                let s = script.clone();
                std::thread::spawn(move || {
                    for _ in 0..n / 2 {
                        let o = Command::new("/bin/sh").arg(&s).output().unwrap();
                        assert_eq!(o.stdout, b"hi\n");
                    }
                })
            })
            .collect();
        for h in hs {
            h.join().unwrap();
        }
        floor.push(t.elapsed());
    }
    floor.sort();
    println!(
        "floor fork+exec sh echo hi x{agents} on 2 threads: p50 {:?}",
        floor[floor.len() / 2]
    );
    let rss = |pid: u32, key: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
            .unwrap()
            .lines()
            .find_map(|l| {
                l.strip_prefix(key)?
                    .strip_prefix(':')?
                    .trim()
                    .strip_suffix(" kB")?
                    .parse::<u64>()
                    .ok()
            })
            .unwrap()
    };
    for c in children.iter().take(2) {
        println!(
            "rss {} kB pss {} kB private {} kB",
            rss(c.id(), "Rss"),
            rss(c.id(), "Pss"),
            rss(c.id(), "Private_Dirty")
        );
    }
    if std::env::var("HOLD").is_ok() {
        println!("{:?}", children[0].id());
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    for c in &mut children {
        c.kill();
        c.wait();
    }
}
