use proptest::prelude::*;

use super::*;

fn user(subject: &Key) -> Claims<UserClaims> {
    let account = Key::generate(KeyKind::Account);
    Claims {
        name: "mi-0123456789abcdef0".to_owned(),
        subject: subject.public().clone(),
        issued_at: 1_000,
        expires_at: Some(2_000),
        body: UserClaims::scoped(account.public().clone(), vec!["t:00".to_owned()]),
    }
}

#[test]
fn what_was_signed_is_read() {
    let (issuer, subject) = (Key::generate(KeyKind::Account), Key::generate(KeyKind::User));
    let text = user(&subject).sign(&issuer).unwrap();
    let verified = Claims::<UserClaims>::verify(&format!("{text}\n")).unwrap();
    assert_eq!(verified.issuer, *issuer.public());
    assert_eq!(verified.claims.subject, *subject.public());
    let claims = verified.clone().issued_by(&[issuer.public()]).unwrap();
    assert_eq!(claims.body.tags, ["t:00"]);
    let stranger = Key::generate(KeyKind::Account);
    assert_eq!(
        verified.issued_by(&[stranger.public()]),
        Err(ClaimsError::Issuer {
            found: issuer.public().clone()
        })
    );
}

#[test]
fn the_id_is_the_hash_of_the_claims_without_it() {
    let (issuer, subject) = (Key::generate(KeyKind::Account), Key::generate(KeyKind::User));
    let text = user(&subject).sign(&issuer).unwrap();
    let body = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
    let mut value: Wire<UserClaims> = serde_json::from_slice(&body).unwrap();
    let id = std::mem::take(&mut value.jti);
    assert_eq!(
        id,
        BASE32_NOPAD.encode(&Sha256::digest(serde_json::to_vec(&value).unwrap()))
    );
}

#[test]
fn a_scoped_user_says_nothing_of_its_permissions() {
    let value = serde_json::to_value(user(&Key::generate(KeyKind::User)).body).unwrap();
    let members: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(members, ["issuer_account", "tags"]);
}

#[test]
fn keys_of_the_wrong_kind_sign_nothing() {
    let (account, subject) = (Key::generate(KeyKind::Account), Key::generate(KeyKind::User));
    assert_eq!(user(&subject).sign(&subject), Err(ClaimsError::Kind));
    assert_eq!(user(&account).sign(&account), Err(ClaimsError::Kind));
}

#[test]
fn claims_of_one_kind_are_not_read_as_another() {
    let (operator, account) = (Key::generate(KeyKind::Operator), Key::generate(KeyKind::Account));
    let claims = Claims {
        name: "MUSTER".to_owned(),
        subject: account.public().clone(),
        issued_at: 0,
        expires_at: None,
        body: AccountClaims::default(),
    };
    let text = claims.sign(&operator).unwrap();
    assert!(Claims::<AccountClaims>::verify(&text).is_ok());
    assert!(matches!(
        Claims::<UserClaims>::verify(&text),
        Err(ClaimsError::Malformed(_))
    ));
}

#[test]
fn time_is_looked_at_with_leeway_for_clocks() {
    let claims = user(&Key::generate(KeyKind::User));
    let check = |now, leeway, expected| assert_eq!(claims.good_at(now, leeway), expected, "{now} ± {leeway}");
    check(1_000, 0, Ok(()));
    check(999, 0, Err(ClaimsError::Early));
    check(999, 1, Ok(()));
    check(1_999, 0, Ok(()));
    check(2_000, 0, Err(ClaimsError::Expired));
    check(2_000, 1, Ok(()));
    check(i64::MIN, i64::MAX, Err(ClaimsError::Early));
}

#[test]
fn an_empty_list_of_subjects_allows_nothing() {
    assert_eq!(Permission::only(["a"]).deny, [""; 0]);
    assert_eq!(Permission::only([""; 0]).deny, [">"]);
}

#[test]
fn accounts_survive_their_own_form() {
    let key = |kind| Key::generate(kind).public().clone();
    let claims = AccountClaims {
        signing_keys: vec![
            SigningKey::Plain(key(KeyKind::Account)),
            SigningKey::Scoped(crate::layout::scope(key(KeyKind::Account))),
        ],
        revocations: [("*".to_owned(), 7)].into(),
        exports: vec![Export {
            name: "e".to_owned(),
            subject: "a.>".to_owned(),
            crossing: Crossing::Stream,
            response_type: None,
        }],
        imports: vec![Import {
            name: "i".to_owned(),
            subject: "a.>".to_owned(),
            account: key(KeyKind::Account),
            local_subject: None,
            crossing: Crossing::Service,
            share: true,
        }],
        limits: AccountLimits::default().with_jetstream(),
        default_permissions: DefaultPermissions::default(),
    };
    let text = serde_json::to_string(&claims).unwrap();
    assert_eq!(serde_json::from_str::<AccountClaims>(&text).unwrap(), claims);
}

use super::account::DefaultPermissions;

proptest! {
    #[test]
    fn any_changed_character_is_noticed(at: prop::sample::Index, by in 1_u8..64) {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let (issuer, subject) = (Key::generate(KeyKind::Account), Key::generate(KeyKind::User));
        let mut text = user(&subject).sign(&issuer).unwrap().into_bytes();
        let at = at.index(text.len());
        let Some(now) = LETTERS.iter().position(|letter| *letter == text[at]) else { return Ok(()) };
        text[at] = LETTERS[(now + usize::from(by)) % LETTERS.len()];
        let text = String::from_utf8(text).unwrap();
        prop_assert!(Claims::<UserClaims>::verify(&text).is_err());
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC*") {
        let _ = Claims::<UserClaims>::verify(&text);
        let _ = Claims::<AccountClaims>::verify(&text);
        let _ = Claims::<OperatorClaims>::verify(&text);
    }
}
