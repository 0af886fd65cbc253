//! How often an access key may call.

use jiff::{SignedDuration, Timestamp};

use crate::client::Call;
use crate::keys::FakeKeys;
use crate::signer::AccessKey;
use crate::world::World;

const NOW: Timestamp = Timestamp::constant(1_767_225_900, 0);

#[tokio::test]
async fn each_key_has_a_burst_and_a_rate() {
    let (keys, cache, alice) = FakeKeys::with_alice();
    let bob = AccessKey::new("MKIABOBBOBBOBBOBBOB2", "another");
    keys.add(&bob);
    let world = World::signed(&cache, NOW).await;
    let good = Call::of("ListCommands", "{}").signed(world.address(), &alice, NOW);
    // Who merely knows the id of her key uses up nothing.
    let thief = AccessKey::new(&alice.id, "guessed");
    let forged = Call::of("ListCommands", "{}").signed(world.address(), &thief, NOW);
    for _ in 0..100 {
        assert_eq!(world.send(&forged).await.error().0, "InvalidSignatureException");
    }
    for number in 0..80 {
        assert_eq!(world.send(&good).await.status, 200, "{number}");
    }
    let reply = world.send(&good).await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.error(),
        ("ThrottlingException".to_owned(), "Rate exceeded".to_owned())
    );
    let other = Call::of("ListCommands", "{}").signed(world.address(), &bob, NOW);
    assert_eq!(world.send(&other).await.status, 200);
    world.clock.advance(SignedDuration::from_millis(50));
    for expected in [200, 200, 400] {
        assert_eq!(world.send(&good).await.status, expected);
    }
}

#[tokio::test]
async fn temporary_keys_of_a_user_share_what_one_may() {
    let (keys, cache, _) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    let temporary = |id: &str| {
        let key = AccessKey {
            token: Some("token".to_owned()),
            ..AccessKey::new(id, "secret")
        };
        keys.add(&key);
        Call::of("ListCommands", "{}").signed(world.address(), &key, NOW)
    };
    let (one, two) = (temporary("MSIAONEONEONEONEONE2"), temporary("MSIATWOTWOTWOTWOTWO2"));
    for number in 0..80 {
        let call = if number % 2 == 0 { &one } else { &two };
        assert_eq!(world.send(call).await.status, 200, "{number}");
    }
    for call in [&one, &two] {
        assert_eq!(world.send(call).await.error().0, "ThrottlingException");
    }
}

#[tokio::test]
async fn development_on_this_machine_has_no_limit() {
    let world = World::start().await;
    for _ in 0..200 {
        assert_eq!(world.call("ListCommands", "{}").await.status, 200);
    }
}

#[tokio::test]
async fn an_address_with_strange_keys_is_told_to_slow_down_and_its_neighbours_are_not() {
    let (keys, cache, alice) = FakeKeys::with_alice();
    let change = |settings: &mut muster_gateway::Settings| {
        settings.forwarded_for = true;
        settings.failed_request_burst = 3.try_into().unwrap();
        settings.failed_requests_per_second = 1.try_into().unwrap();
    };
    let world = World::signed_with(&cache, NOW, change).await;
    let ask = async |key: &AccessKey, from: &str| {
        let call = Call::of("ListCommands", "{}").with("x-forwarded-for", from);
        let reply = world.send(&call.signed(world.address(), key, NOW)).await;
        (reply.status != 200).then(|| reply.error().0)
    };
    let refused = Some("UnrecognizedClientException".to_owned());
    let throttled = Some("ThrottlingException".to_owned());
    let foreign = AccessKey::new("AKIAIOSFODNN7EXAMPLE", "secret");
    for _ in 0..10 {
        assert_eq!(ask(&foreign, "192.0.2.7").await, refused);
    }
    assert_eq!(keys.asked(), 0, "nobody has such a key");
    for _ in 0..10 {
        assert_eq!(ask(&alice, "192.0.2.7").await, None);
    }
    let stranger = |number: usize| AccessKey::new(&format!("MKIASTRANGERSTRANGE{number}"), "secret");
    for number in 0..3 {
        assert_eq!(ask(&stranger(number), "192.0.2.7").await, refused);
    }
    let asked = keys.asked();
    for number in 3..9 {
        assert_eq!(ask(&stranger(number), "192.0.2.7").await, throttled);
    }
    assert_eq!(keys.asked(), asked, "nobody is asked any more");
    cache.forget(&alice.id);
    assert_eq!(ask(&alice, "192.0.2.7").await, None, "she was known here");
    assert_eq!(ask(&stranger(9), "198.51.100.9").await, refused, "another address");
    world.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(ask(&stranger(3), "192.0.2.7").await, refused);
    assert_eq!(ask(&stranger(3), "192.0.2.7").await, throttled);

    // Signatures that are not good count, too.
    let thief = AccessKey::new(&alice.id, "guessed");
    for _ in 0..4 {
        let reply = ask(&thief, "203.0.113.1").await;
        assert_eq!(reply.as_deref(), Some("InvalidSignatureException"));
    }
    assert_eq!(ask(&stranger(4), "203.0.113.1").await, throttled);
}
