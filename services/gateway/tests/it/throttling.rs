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
