//! The file is made once, guarded, and read strictly.

use muster_proto::parameterstore::v1::ParameterType;

use super::*;
use crate::domain::name::tests::scope;

const OLD: &str = "aws/ssm 1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
const NEW: &str = "aws/ssm 2 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";
const OTHER: &str = "payments 1 AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n";

fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parameter-store.key");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

fn name(key: &str, version: &str) -> KeyName {
    KeyName {
        provider: NAME.to_owned(),
        id: key.to_owned(),
        version: version.to_owned(),
    }
}

fn load(text: &str, needed: &[(KeyName, i64)]) -> Result<KeyFile, KeyFileError> {
    let (_folder, path) = file(text, 0o600);
    KeyFile::load(&path, scope(), needed)
}

#[test]
fn the_first_start_makes_a_file_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parameter-store.key");
    let made = KeyFile::load(&path, scope(), &[]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let used = [(name(DEFAULT_KEY, &made.lines().0[0].version), 1)];
    let again = KeyFile::load(&path, scope(), &used).unwrap();
    assert_eq!(again.lines().0[0].bytes.bytes(), made.lines().0[0].bytes.bytes());
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "the draft is gone");
    assert!(!format!("{made:?}").contains(&STANDARD.encode(made.lines().0[0].bytes.bytes())));
}

#[test]
fn a_start_without_a_key_that_is_needed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parameter-store.key");
    let needed = [(name("aws/ssm", "1"), 7)];
    let refused = KeyFile::load(&path, scope(), &needed).unwrap_err();
    assert!(matches!(refused, KeyFileError::Missing { .. }));
    assert!(!path.exists(), "no other key was made in its place");
    assert!(load(&format!("{NEW}{OLD}"), &needed).is_ok());
    let refused = load(NEW, &needed).unwrap_err().to_string();
    assert!(
        refused.contains("version 1 of the key aws/ssm, which 7 SecureStrings need"),
        "{refused}"
    );
    let elsewhere = KeyName {
        provider: "aws-kms".to_owned(),
        ..name("x", "1")
    };
    assert!(load(NEW, &[(elsewhere, 1)]).is_ok());
}

#[test]
fn a_file_that_others_may_read_or_that_holds_other_things_is_refused() {
    let check = |text: &str, mode| {
        let (_folder, path) = file(text, mode);
        KeyFile::load(&path, scope(), &[])
    };
    assert!(check(OLD, 0o600).is_ok());
    assert!(matches!(check(OLD, 0o640), Err(KeyFileError::Open { mode: 0o640, .. })));
    let malformed = |text: &str| matches!(check(text, 0o600), Err(KeyFileError::Malformed { line: 2, .. }));
    assert!(malformed(&format!("# keys\n{}", OLD.replace("AAA=", "A="))));
    assert!(malformed("\naws/ssm 1\n"));
    assert!(malformed("\na:b 1 AAAA\n"));
    assert!(malformed(&format!("\n{} x", OLD.trim())));
    assert!(matches!(
        check(&format!("{OLD}{OLD}"), 0o600),
        Err(KeyFileError::Twice { .. })
    ));
}

#[tokio::test]
async fn the_first_version_of_a_key_wraps_and_all_unwrap() {
    let scope = scope();
    let binding = Binding {
        scope: &scope,
        path: "/x",
        version: 1,
        kind: ParameterType::SecureString,
    };
    let data_key = DataKey::random();
    let wrap = async |keys: &KeyFile, key_id: &str| match keys.wrap(key_id, "", &data_key).await {
        Ok(wrapping) => Ok(wrapping.finish(&data_key, &binding.bytes())),
        Err(error) => Err(error.to_string()),
    };
    let old = load(OLD, &[]).unwrap();
    let wrapped = wrap(&old, "alias/aws/ssm").await.unwrap();
    let both = load(&format!("{NEW}{OTHER}{OLD}"), &[]).unwrap();
    assert_eq!(both.unwrap(&wrapped, &binding).await.unwrap().bytes(), data_key.bytes());
    assert!(!both.is_current(&wrapped.key).await.unwrap());
    assert!(old.is_current(&wrapped.key).await.unwrap());
    let again = wrap(&both, "aws/ssm").await.unwrap();
    assert_eq!(again.key, name("aws/ssm", "2"));
    assert!(old.unwrap(&again, &binding).await.is_err());
    for key_id in [
        "payments",
        "alias/payments",
        "arn:aws:kms:us-east-1:000000000000:key/payments",
    ] {
        assert_eq!(wrap(&both, key_id).await.unwrap().key, name("payments", "1"));
    }
    let unknown = wrap(&both, "alias/nope").await.unwrap_err();
    assert_eq!(
        unknown,
        "Alias arn:aws:kms:us-east-1:000000000000:alias/nope is not found."
    );
    let moved = Binding { path: "/y", ..binding };
    assert!(matches!(both.unwrap(&again, &moved).await, Err(KeyError::Open(_))));
}

#[tokio::test]
async fn a_key_that_another_replica_was_given_first_is_looked_for_in_the_file() {
    let scope = scope();
    let binding = Binding {
        scope: &scope,
        path: "/x",
        version: 1,
        kind: ParameterType::SecureString,
    };
    let data_key = DataKey::random();
    let wrap = async |keys: &KeyFile| {
        let wrapping = keys.wrap("alias/aws/ssm", "", &data_key).await.unwrap();
        wrapping.finish(&data_key, &binding.bytes())
    };
    let first = load(&format!("{NEW}{OLD}"), &[]).unwrap();
    let by_first = wrap(&first).await;
    let (_folder, path) = file(OLD, 0o600);
    let second = KeyFile::load(&path, scope.clone(), &[]).unwrap();
    let by_second = wrap(&second).await;
    let opens = async |wrapped: &Wrapped| match second.unwrap(wrapped, &binding).await {
        Ok(opened) => opened.bytes() == data_key.bytes(),
        Err(KeyError::Unusable(_)) => false,
        Err(other) => panic!("{other}"),
    };
    assert!(!opens(&by_first).await, "its file does not have it yet");
    // What must not be believed changes nothing.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, format!("{NEW}{OLD}")).unwrap();
    assert!(!opens(&by_first).await && opens(&by_second).await);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, format!("{NEW}{}", NEW.replace(" 2 ", " 1 "))).unwrap();
    assert!(
        !opens(&by_first).await && opens(&by_second).await,
        "version 1 was another key"
    );
    // Without the old line, which is still needed.
    fs::write(&path, NEW).unwrap();
    assert!(second.is_current(&by_first.key).await.unwrap());
    assert!(!second.is_current(&by_second.key).await.unwrap());
    assert!(opens(&by_first).await && opens(&by_second).await);
    assert_eq!(
        wrap(&second).await.key,
        name("aws/ssm", "2"),
        "it wraps with the new one too"
    );
}

#[tokio::test]
async fn a_key_that_was_added_is_used_without_a_new_start() {
    let (_folder, path) = file(OLD, 0o600);
    let keys = KeyFile::load(&path, scope(), &[]).unwrap();
    let wrap = async || keys.wrap("alias/payments", "", &DataKey::random()).await;
    assert!(matches!(wrap().await, Err(KeyError::Unusable(_))));
    fs::write(&path, format!("{OLD}{OTHER}")).unwrap();
    assert!(matches!(wrap().await, Ok(Wrapping::Here { key, .. }) if key == name("payments", "1")));
}
