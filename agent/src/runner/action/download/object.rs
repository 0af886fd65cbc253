//! `S3`: an object, or all objects below a prefix.

use std::time::Duration;

use futures::StreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectMeta, ObjectStore};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::place::{Draft, Place};
use super::{Bench, Info, Trouble};
use crate::objects::{Bucket, ObjectsError, parse_key};

/// How long a store that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which object is meant.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    bucket: String,
    key: String,
    region: String,
    /// Where, if it is not this node's own object store.
    endpoint: Option<String>,
}

/// Reads one object piece by piece.
pub(in super::super) fn read(
    bench: &mut Bench<'_, '_>,
    path: &str,
    mut take: impl FnMut(&[u8]) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    if let Some(url) = signed(path) {
        return bench.block_on(by_url(url, take))?;
    }
    let (address, bucket) = open(bench, path)?;
    let failed = |error: ObjectsError| Trouble::Failed(format!("cannot read {}: {error}", without_query(path)));
    let key = parse_key(&address.key).map_err(failed)?;
    bench.block_on(async {
        let object = bucket.store().get(&key).await.map_err(|error| failed(error.into()))?;
        let mut pieces = object.into_stream();
        while let Some(piece) = pieces.next().await {
            take(&piece.map_err(|error| failed(error.into()))?)?;
        }
        Ok(())
    })?
}

/// A URL that is signed in itself: whoever has it needs no credentials.
fn signed(path: &str) -> Option<Url> {
    let url: Url = path.parse().ok()?;
    let is_signed = url.query_pairs().any(|(name, _)| name == "X-Amz-Signature");
    (is_signed && ["http", "https"].contains(&url.scheme())).then_some(url)
}

async fn by_url(url: Url, mut take: impl FnMut(&[u8]) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let shown = without_query(url.as_str()).to_owned();
    let failed = |error: reqwest::Error| Trouble::Failed(format!("cannot read {shown}: {}", error.without_url()));
    let client = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(PATIENCE)
        .read_timeout(PATIENCE);
    let answer = client.build().map_err(failed)?.get(url).send().await.map_err(failed)?;
    if !answer.status().is_success() {
        let why = format!("cannot read {shown}: the object store answers {}", answer.status());
        return Err(Trouble::Failed(why));
    }
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        take(&piece.map_err(failed)?)?;
    }
    Ok(())
}

/// What a path names, and the bucket that it is in.
fn open(bench: &Bench<'_, '_>, path: &str) -> Result<(Address, Bucket), Trouble> {
    let objects = &bench.workshop.settings.objects;
    let address = Address::read(path, &objects.url)
        .ok_or_else(|| Trouble::NeverRan(format!("{} names no object", without_query(path))))?;
    let state = bench.workshop.state.root();
    let bucket = objects
        .bucket(
            state,
            &address.bucket,
            &address.region,
            address.endpoint.as_deref(),
            PATIENCE,
        )
        .map_err(|error| Trouble::Failed(error.to_string()))?;
    Ok((address, bucket))
}

/// Downloads; what to say about it.
pub(super) fn download(bench: &mut Bench<'_, '_>, info: &Info, place: &Place, limit: u64) -> Result<String, Trouble> {
    let (address, bucket) = open(bench, &info.required("path")?)?;
    let shown = format!("s3://{}/{}", address.bucket, address.key);
    let (files, bytes) = bench
        .block_on(fetch(bucket.store(), &address.key, place, limit))?
        .map_err(|why| Trouble::Failed(format!("cannot download {shown}: {why}")))?;
    Ok(format!("downloaded {shown} ({files} files, {bytes} bytes)"))
}

async fn fetch(store: &dyn ObjectStore, key: &str, place: &Place, limit: u64) -> Result<(u64, u64), String> {
    let is_folder = key.is_empty() || key.ends_with('/');
    let key = match key.trim_matches('/') {
        "" => Key::default(),
        key => parse_key(key).map_err(|error| error.to_string())?,
    };
    if !is_folder {
        match store.head(&key).await {
            Ok(_) => {
                let target = place.file(key.filename().unwrap_or("object"));
                return Ok((1, save(store, &key, Draft::begin(place, target, limit)?).await?));
            }
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(ObjectsError::from(error).to_string()),
        }
    }
    let (mut files, mut bytes) = (0, 0);
    let mut listing = store.list(Some(&key));
    while let Some(about) = listing.next().await {
        let about: ObjectMeta = about.map_err(|error| ObjectsError::from(error).to_string())?;
        let whole = about.location.as_ref();
        let relative = whole
            .strip_prefix(key.as_ref())
            .unwrap_or(whole)
            .trim_start_matches('/');
        // A key that stands for the folder itself has nothing in it.
        if relative.is_empty() {
            continue;
        }
        let target = place.inner(relative)?;
        // The limit is for all of them together.
        bytes += save(store, &about.location, Draft::begin(place, target, limit - bytes)?).await?;
        files += 1;
    }
    match files {
        0 => Err("there is no such object, and nothing below it".to_owned()),
        files => Ok((files, bytes)),
    }
}

async fn save(store: &dyn ObjectStore, key: &Key, mut draft: Draft) -> Result<u64, String> {
    let words = |error| ObjectsError::from(error).to_string();
    let mut pieces = store.get(key).await.map_err(words)?.into_stream();
    while let Some(piece) = pieces.next().await {
        draft.write(&piece.map_err(words)?)?;
    }
    draft.finish()
}

impl Address {
    /// Reads `s3://bucket/key`, a URL below the node's own object store, or one of AWS's forms.
    fn read(path: &str, own: &str) -> Option<Self> {
        let here = |rest: &str| {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            (!bucket.is_empty()).then(|| Self {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                region: String::new(),
                endpoint: None,
            })
        };
        if let Some(rest) = path.strip_prefix("s3://") {
            return here(rest);
        }
        let own = own.trim_end_matches('/');
        if !own.is_empty()
            && let Some(rest) = path.strip_prefix(own).and_then(|rest| rest.strip_prefix('/'))
        {
            return here(rest);
        }
        Self::of_aws(&path.parse().ok()?)
    }

    /// `s3.amazonaws.com/bucket/key`, `s3.<region>.…`, `s3-<region>.…`, and the same with the bucket before it.
    fn of_aws(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        let (front, end) = match host.strip_suffix(".amazonaws.com.cn") {
            Some(front) => (front, "amazonaws.com.cn"),
            None => (host.strip_suffix(".amazonaws.com")?, "amazonaws.com"),
        };
        let path = url.path().trim_start_matches('/');
        let words: Vec<&str> = front.split('.').collect();
        // From the right, because a bucket's name may have dots in it.
        let service = words
            .iter()
            .rposition(|word| *word == "s3" || word.starts_with("s3-"))?;
        let region = match (words[service], words.get(service + 1)) {
            (_, Some(region)) => (*region).to_owned(),
            ("s3", None) => "us-east-1".to_owned(),
            (word, None) => word.trim_start_matches("s3-").to_owned(),
        };
        let (bucket, key) = match service {
            0 => path.split_once('/').unwrap_or((path, "")),
            _ => ("", path),
        };
        let bucket = match service {
            0 => bucket.to_owned(),
            _ => words[..service].join("."),
        };
        Some(Self {
            key: key.to_owned(),
            endpoint: Some(format!("https://s3.{region}.{end}")),
            bucket,
            region,
        })
        .filter(|address| !address.bucket.is_empty() && url.scheme() == "https")
    }
}

/// What follows a question mark may be a signature.
pub(in super::super) fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_signed_in_itself_is_told_from_others() {
        assert!(signed("https://store/b/k?X-Amz-Expires=600&X-Amz-Signature=00").is_some());
        for other in [
            "https://store/b/k",
            "s3://b/k?X-Amz-Signature=00",
            "https://store/X-Amz-Signature=00",
            "",
        ] {
            assert!(signed(other).is_none(), "{other}");
        }
    }

    #[test]
    fn every_form_of_an_address_is_understood() {
        let own = "http://127.0.0.1:9000";
        for (path, bucket, key, region, endpoint) in [
            ("s3://b1/a/b.sh", "b1", "a/b.sh", "", None),
            ("http://127.0.0.1:9000/b1/a/", "b1", "a/", "", None),
            (
                "https://s3.amazonaws.com/b1/k",
                "b1",
                "k",
                "us-east-1",
                Some("https://s3.us-east-1.amazonaws.com"),
            ),
            (
                "https://s3-eu-west-1.amazonaws.com/b1/k",
                "b1",
                "k",
                "eu-west-1",
                Some("https://s3.eu-west-1.amazonaws.com"),
            ),
            (
                "https://my.bucket.s3.eu-west-1.amazonaws.com/a/k",
                "my.bucket",
                "a/k",
                "eu-west-1",
                Some("https://s3.eu-west-1.amazonaws.com"),
            ),
        ] {
            let expected = Address {
                bucket: bucket.into(),
                key: key.into(),
                region: region.into(),
                endpoint: endpoint.map(str::to_owned),
            };
            assert_eq!(Address::read(path, own), Some(expected), "{path}");
        }
        for bad in [
            "s3:///k",
            "https://example.org/b/k",
            "b/k",
            "http://s3.amazonaws.com/b/k",
        ] {
            assert_eq!(Address::read(bad, own), None, "{bad}");
        }
    }
}
