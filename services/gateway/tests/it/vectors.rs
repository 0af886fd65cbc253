//! The cases of the public SigV4 test suite whose path is `/`: its credentials, date, region and service, so that what it
//! has published of them are facts here. The AWS SDK's signer says the rest.

use http::{HeaderName, Request};
use jiff::Timestamp;
use muster_gateway::sigv4::{Claim, Refused, Rules, Secret, SigningKey};

use crate::signer::{AccessKey, sign};

/// 2015-08-30T12:36:00Z.
const NOW: Timestamp = Timestamp::constant(1_440_938_160, 0);
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const HOST: &str = "example.amazonaws.com";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// A request, and its signature where it is a published one.
struct Case {
    method: &'static str,
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    published: Option<&'static str>,
}

const GET: Case = Case {
    method: "GET",
    query: "",
    headers: &[],
    body: "",
    published: None,
};
const POST: Case = Case { method: "POST", ..GET };

const CASES: &[Case] = &[
    Case {
        published: Some("5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ..GET
    },
    Case {
        published: Some("5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ..POST
    },
    // One header several times, in the order in which it came.
    Case {
        headers: &[
            ("My-Header1", "value2"),
            ("My-Header1", "value2"),
            ("My-Header1", "value1"),
        ],
        published: Some("c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
        ..GET
    },
    Case {
        headers: &[
            ("My-Header1", "value4"),
            ("My-Header1", "value1"),
            ("My-Header1", "value3"),
            ("My-Header1", "value2"),
        ],
        published: Some("08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"),
        ..GET
    },
    // Blanks at the ends, and several in a row.
    Case {
        headers: &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
        published: Some("acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
        ..GET
    },
    Case {
        headers: &[("My-Header1", "value1  "), ("My-Header2", "  a    b ")],
        ..POST
    },
    Case {
        headers: &[("My-Header1", "VALUE1")],
        published: Some("cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
        ..POST
    },
    Case {
        headers: &[("MY-HEADER1", "value1")],
        published: Some("c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
        ..POST
    },
    // Queries: out of order, by name and by value, without a value, and with all that needs no encoding.
    Case {
        query: "?Param2=value2&Param1=value1",
        published: Some("b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ..GET
    },
    Case {
        query: "?Param1=value2&Param1=Value1",
        ..GET
    },
    Case {
        query: "?Param1=",
        ..GET
    },
    Case {
        query: "?Param1=value1",
        published: Some("a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
        ..GET
    },
    Case {
        query: "?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=\
                -._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        published: Some("9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
        ..GET
    },
    Case {
        query: "?Param1=value1",
        published: Some("28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
        ..POST
    },
    Case {
        headers: &[FORM],
        body: "Param1=value1",
        published: Some("ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        ..POST
    },
];

impl Case {
    fn headers(&self) -> Vec<(String, String)> {
        let own = self.headers.iter().copied();
        let all = [("Host", HOST)].into_iter().chain(own);
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// What the SDK's signer adds.
    fn more(&self) -> Vec<(String, String)> {
        let key = AccessKey {
            service: "service".to_owned(),
            ..AccessKey::new("AKIDEXAMPLE", SECRET)
        };
        let url = format!("http://{HOST}/{}", self.query);
        sign(&key, NOW, self.method, &url, &self.headers(), self.body.as_bytes())
    }

    fn judge(&self, more: Vec<(String, String)>) -> Result<(), Refused> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.parse().expect("a method");
        *request.uri_mut() = format!("/{}", self.query).parse().expect("a target");
        for (name, value) in self.headers().into_iter().chain(more) {
            let name: HeaderName = name.parse().expect("a name");
            request.headers_mut().append(name, value.parse().expect("a value"));
        }
        let rules = Rules {
            regions: vec!["us-east-1".to_owned()],
            host_aliases: Vec::new(),
        };
        let (head, ()) = request.into_parts();
        let claim = Claim::read(&head, "service", &rules, NOW)?;
        let secret = Secret::new(SECRET.to_owned());
        let key = SigningKey::derive(&secret, claim.day(), claim.region(), claim.service());
        claim.prove(&key, self.body.as_bytes(), &rules)
    }
}

/// The signature in what a signer adds.
fn signature(more: &[(String, String)]) -> &str {
    let authorization = more.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let (_, value) = authorization.expect("a signature");
    value.split_once("Signature=").expect("a signature").1
}

#[test]
fn what_is_published_of_the_public_test_suite_is_so_here() {
    for (number, case) in CASES.iter().enumerate() {
        let more = case.more();
        let signature = signature(&more).to_owned();
        if let Some(published) = case.published {
            assert_eq!(signature, published, "{number}: {} {}", case.method, case.query);
        }
        assert_eq!(
            case.judge(more.clone()),
            Ok(()),
            "{number}: {} {}",
            case.method,
            case.query
        );
        // One digit more or less.
        let other = if signature.ends_with('0') { "1" } else { "0" };
        let wrong = format!("{}{other}", &signature[..63]);
        let bent = more
            .into_iter()
            .map(|(name, value)| (name, value.replace(&signature, &wrong)));
        assert_eq!(case.judge(bent.collect()), Err(Refused::Mismatch), "{number}");
    }
}
