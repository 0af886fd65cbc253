//! Signatures over raw HTTP: each row of aws-json-gateway 2 that is about them, and the rules of section 6.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use muster_gateway::{AuthenticationMode, Server};
use muster_harness::{NatsServer, until};
use muster_model::ManualClock;
use serde_json::json;

use crate::client::{Call, Reply};
use crate::keys::FakeKeys;
use crate::signer::AccessKey;
use crate::world::{World, defaults, parts};

/// 2026-01-01T00:05:00Z.
const NOW: Timestamp = Timestamp::constant(1_767_225_900, 0);
const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
                        Secret Access Key and signing method. Consult the service documentation for details.";

fn list() -> Call {
    Call::of("ListCommands", "{}")
}

fn assert_refused(reply: &Reply, word: &str, text: &str) {
    assert_eq!(
        (reply.status, reply.json()),
        (400, json!({"__type": word, "message": text}))
    );
}

/// A gateway, and Alice's key.
async fn world() -> (World, AccessKey) {
    let (_, cache, alice) = FakeKeys::with_alice();
    (World::signed(&cache, NOW).await, alice)
}

#[tokio::test]
async fn a_genuine_signature_is_accepted() {
    let (world, alice) = world().await;
    let to = world.address();
    for call in [
        list(),
        list().body(""),
        list().with("X-Amz-Meta", "  a   b "),
        list().and("X-Amz-Meta", "a").and("X-Amz-Meta", "b, c"),
        Call::bare("POST", "/?b=2&a=%41%2f&c")
            .with("X-Amz-Target", "AmazonSSM.ListCommands")
            .with("Content-Type", "application/json"),
    ] {
        let reply = world.send(&call.signed(to, &alice, NOW)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    let names_hash = AccessKey {
        names_hash: true,
        ..alice
    };
    let reply = world.send(&list().signed(to, &names_hash, NOW)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn no_signature() {
    let (world, _) = world().await;
    let reply = world.send(&list().without("Authorization")).await;
    assert_refused(
        &reply,
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    );
}

#[tokio::test]
async fn what_is_incomplete_is_named() {
    let (world, alice) = world().await;
    let good = list().signed(world.address(), &alice, NOW);
    let authorization = good.header("Authorization").to_owned();
    let presigned = Call::bare("POST", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00")
        .with("X-Amz-Target", "AmazonSSM.ListCommands")
        .with("Content-Type", "application/x-amz-json-1.1");
    for (call, named) in [
        (good.clone().with("Authorization", "Bearer x"), "AWS4-HMAC-SHA256"),
        (
            good.clone()
                .with("Authorization", &authorization.replace("Signature=", "Sig=")),
            "'Signature'",
        ),
        (
            good.clone().with("Authorization", &authorization.replace("/ssm/", "/")),
            "5 slash-delimited",
        ),
        (good.clone().and("Authorization", &authorization), "once"),
        (good.clone().without("X-Amz-Date"), "'X-Amz-Date'"),
        (good.clone().with("X-Amz-Date", "yesterday"), "20260101T000000Z"),
        (good.clone().and("X-Amz-Date", "20260101T000500Z"), "'x-amz-date'"),
        (presigned, "presigned"),
    ] {
        let reply = world.send(&call).await;
        let (word, text) = reply.error();
        assert_eq!(
            (reply.status, word.as_str()),
            (400, "IncompleteSignatureException"),
            "{text}"
        );
        assert!(text.contains(named), "{text}");
    }
}

#[tokio::test]
async fn a_key_that_is_unknown_or_switched_off() {
    let (keys, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    let text = "The security token included in the request is invalid.";
    let nobody = AccessKey::new("MKIANOBODYNOBODYNOB2", &alice.secret);
    let stranger = AccessKey {
        token: Some("made up".to_owned()),
        ..alice.clone()
    };
    for key in [&nobody, &stranger] {
        let reply = world.send(&list().signed(world.address(), key, NOW)).await;
        assert_refused(&reply, "UnrecognizedClientException", text);
    }
    let good = list().signed(world.address(), &alice, NOW);
    assert_eq!(world.send(&good).await.status, 200);
    keys.change(&alice, |known| known.active = false);
    cache.forget(&alice.id);
    assert_refused(&world.send(&good).await, "UnrecognizedClientException", text);
}

#[tokio::test]
async fn a_key_that_was_switched_off_is_refused_after_five_seconds_even_if_nobody_says_so() {
    let (keys, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    let good = list().signed(world.address(), &alice, NOW);
    for _ in 0..3 {
        assert_eq!(world.send(&good).await.status, 200);
    }
    assert_eq!(keys.asked(), 1);
    keys.change(&alice, |known| known.active = false);
    world.clock.advance(SignedDuration::from_secs(5));
    assert_eq!(world.send(&good).await.error().0, "UnrecognizedClientException");
}

#[tokio::test]
async fn a_session_token_that_is_missing_or_over() {
    let (keys, cache, _) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    let temporary = AccessKey {
        token: Some("token/with+all=sorts".to_owned()),
        ..AccessKey::new("MSIATEMPTEMPTEMPTEM2", "secret")
    };
    keys.add(&temporary);
    let good = list().signed(world.address(), &temporary, NOW);
    assert_eq!(world.send(&good).await.status, 200);
    let bare = AccessKey {
        token: None,
        ..temporary.clone()
    };
    let reply = world.send(&list().signed(world.address(), &bare, NOW)).await;
    assert_eq!(reply.error().0, "UnrecognizedClientException");
    keys.change(&temporary, |known| known.until = Some(NOW));
    cache.forget_all();
    let reply = world.send(&good).await;
    assert_refused(
        &reply,
        "ExpiredTokenException",
        "The security token included in the request is expired",
    );
}

#[tokio::test]
async fn a_signature_of_another_request_or_secret() {
    let (world, alice) = world().await;
    let to = world.address();
    let good = list().signed(to, &alice, NOW);
    let wrong = AccessKey {
        secret: "another".to_owned(),
        ..alice.clone()
    };
    let signature = good
        .header("Authorization")
        .rsplit('=')
        .next()
        .unwrap_or_default()
        .to_owned();
    let upper = good
        .header("Authorization")
        .replace(&signature, &signature.to_uppercase());
    for call in [
        list().signed(to, &wrong, NOW),
        // The old signature of something harmless, with another target.
        good.clone().with("X-Amz-Target", "AmazonSSM.SendCommand"),
        good.clone().body("{ }"),
        good.clone().with("Content-Type", "application/json"),
        good.clone().host("elsewhere:80"),
        good.clone().with("Authorization", &upper),
        good.clone().with(
            "Authorization",
            &good.header("Authorization").replace(&signature, "00ff"),
        ),
        good.clone().with("X-Amz-Date", "20260101T000501Z"),
    ] {
        assert_refused(&world.send(&call).await, "InvalidSignatureException", MISMATCH);
    }
    assert_eq!(world.fake.callers.lock().expect("no panic").len(), 0);
}

#[tokio::test]
async fn five_minutes_and_no_second_more() {
    let (world, alice) = world().await;
    let signed_at = |seconds| list().signed(world.address(), &alice, NOW + SignedDuration::from_secs(seconds));
    for near in [-299, 299] {
        assert_eq!(world.send(&signed_at(near)).await.status, 200, "{near}");
    }
    assert_refused(
        &world.send(&signed_at(301)).await,
        "InvalidSignatureException",
        "Signature not yet current: 20260101T001001Z is still later than 20260101T001000Z (20260101T000500Z + 5 min.)",
    );
    world.clock.advance(SignedDuration::from_secs(60));
    assert_refused(
        &world.send(&signed_at(-241)).await,
        "InvalidSignatureException",
        "Signature expired: 20260101T000059Z is now earlier than 20260101T000100Z (20260101T000600Z - 5 min.)",
    );
}

#[tokio::test]
async fn a_scope_that_is_not_this_one() {
    let (world, alice) = world().await;
    let to = world.address();
    let good = list().signed(to, &alice, NOW);
    let authorization = good.header("Authorization").to_owned();
    let edited = |from: &str, with: &str| good.clone().with("Authorization", &authorization.replace(from, with));
    let elsewhere = AccessKey {
        region: "eu-west-1".to_owned(),
        ..alice.clone()
    };
    let other = AccessKey {
        service: "s3".to_owned(),
        ..alice.clone()
    };
    for (call, named) in [
        (edited("/20260101/", "/20260102/"), "20260101, from 20260101T000500Z"),
        (list().signed(to, &elsewhere, NOW), "valid region"),
        (list().signed(to, &other, NOW), "'ssm'"),
        (edited("aws4_request", "aws5_request"), "'aws4_request'"),
        (edited("host;", ""), "'host' must be a 'SignedHeader'"),
        (edited("content-type;", ""), "'content-type' must be"),
        (edited(";x-amz-target", ""), "'x-amz-target' must be"),
        (edited("x-amz-date;", ""), "'x-amz-date' must be"),
        (good.clone().with("X-Amz-Anything", "x"), "'x-amz-anything' must be"),
        (edited("content-type;host", "host;content-type"), "alphabetical"),
        (edited("host;", "host;host;"), "alphabetical"),
        (edited("host;", "Host;"), "lower case"),
        (edited("host;", "host;via;"), "not in the request"),
        (
            good.clone()
                .without("Content-Type")
                .with("Content-Type", "application/json; x"),
            MISMATCH,
        ),
    ] {
        let (word, text) = world.send(&call).await.error();
        assert_eq!(word, "InvalidSignatureException", "{text}");
        assert!(text.contains(named), "{text}");
    }
}

#[tokio::test]
async fn a_hash_that_is_not_the_body_s() {
    let (world, alice) = world().await;
    for hash in [
        "UNSIGNED-PAYLOAD",
        "",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        let call = list()
            .with("X-Amz-Content-Sha256", hash)
            .signed(world.address(), &alice, NOW);
        assert_refused(
            &world.send(&call).await,
            "InvalidSignatureException",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
    }
}

#[tokio::test]
async fn regions_and_hosts_are_settings() {
    let (_, cache, alice) = FakeKeys::with_alice();
    let elsewhere = AccessKey {
        region: "mars-1".to_owned(),
        ..alice.clone()
    };
    let world = World::signed_with(&cache, NOW, |settings| {
        settings.regions = vec!["*".to_owned()];
        settings.trusted_host_aliases = vec!["ssm.example:8443".to_owned()];
    })
    .await;
    let to = world.address();
    assert_eq!(world.send(&list().signed(to, &elsewhere, NOW)).await.status, 200);
    // What a proxy makes of it: signed for its name, sent with another.
    let signed = list().host("ssm.example:8443").signed(to, &alice, NOW);
    assert_eq!(world.send(&signed.host("10.0.0.7")).await.status, 200);
    let signed = list().host("evil.example").signed(to, &alice, NOW);
    let reply = world.send(&signed.host("10.0.0.7")).await;
    assert_eq!(reply.error().0, "InvalidSignatureException");
}

#[tokio::test]
async fn what_is_asked_for_is_told_only_to_callers_who_prove_themselves() {
    let (world, alice) = world().await;
    let to = world.address();
    let unserved = Call::of("StartSession", "nonsense");
    let reply = world.send(&unserved.clone().signed(to, &alice, NOW)).await;
    assert_eq!(reply.error().0, "UnsupportedOperationException");
    let nonsense = Call::of("ListCommands", "nonsense");
    let reply = world.send(&nonsense.clone().signed(to, &alice, NOW)).await;
    assert_eq!(reply.error().0, "SerializationException");
    let wrong = AccessKey {
        secret: "another".to_owned(),
        ..alice
    };
    for call in [unserved, nonsense] {
        let reply = world.send(&call.signed(to, &wrong, NOW)).await;
        assert_eq!(reply.error().0, "InvalidSignatureException");
    }
    let unknown = world.send(&Call::of("Nonsense", "{}").without("Authorization")).await;
    assert_eq!(unknown.error().0, "UnknownOperationException");
}

#[tokio::test]
async fn while_nobody_knows_the_keys_nothing_is_believed() {
    let (keys, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    keys.set_away(true);
    let good = list().signed(world.address(), &alice, NOW);
    let reply = world.send(&good).await;
    assert_eq!((reply.status, reply.error().0.as_str()), (503, "ServiceUnavailable"));
    keys.set_away(false);
    assert_eq!(world.send(&good).await.status, 200);
}

#[tokio::test]
async fn without_a_region_it_does_not_start() {
    let nats = NatsServer::start().await;
    let mut settings = defaults();
    settings.authentication = AuthenticationMode::Signature;
    settings.regions.clear();
    let (_, cache, _) = FakeKeys::with_alice();
    let parts = parts(&nats, &ManualClock::at(NOW)).await;
    let error = Server::start_with_keys(settings, parts, Arc::clone(&cache))
        .await
        .expect_err("no region");
    assert!(error.to_string().contains("service.regions"), "{error}");
}

#[tokio::test]
async fn a_body_that_is_held_back_keeps_neither_a_key_nor_a_signature_alive() {
    let (keys, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    let call = Call::of("ListCommands", "{}").signed(world.address(), &alice, NOW);
    // The gateway has the head once it has asked for the key.
    let asked = async |before: usize| {
        until("the key is asked for", async || match keys.asked() > before {
            true => Ok(()),
            false => Err(keys.asked()),
        })
        .await;
    };
    let forgotten = || {
        cache.forget(&alice.id);
        keys.asked()
    };

    let before = forgotten();
    let soon = call.send_with_pause(world.address(), async || asked(before).await);
    assert_eq!((soon.await.status, keys.asked()), (200, before + 1));

    let before = forgotten();
    let late = call.send_with_pause(world.address(), async || {
        asked(before).await;
        world.clock.advance(SignedDuration::from_secs(6));
    });
    assert_eq!(
        (late.await.status, keys.asked()),
        (200, before + 2),
        "it is asked about again"
    );

    let before = forgotten();
    let revoked = call.send_with_pause(world.address(), async || {
        asked(before).await;
        keys.change(&alice, |known| known.active = false);
        world.clock.advance(SignedDuration::from_secs(6));
    });
    assert_eq!(revoked.await.error().0, "UnrecognizedClientException");

    keys.change(&alice, |known| known.active = true);
    let before = forgotten();
    let old = call.send_with_pause(world.address(), async || {
        asked(before).await;
        world.clock.advance(SignedDuration::from_mins(5));
    });
    let (word, text) = old.await.error();
    assert_eq!(word, "InvalidSignatureException");
    assert!(text.starts_with("Signature expired"), "{text}");
}
