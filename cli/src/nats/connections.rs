//! Who is connected with credentials of nodes, as the servers tell it: one by one in events, and all of them when asked.
//!
//! Two connections with one key from different addresses are two machines, if both live: a machine that has changed its
//! address leaves a connection behind, of which the server does not know yet that it is dead. So both must have said
//! something after the later one began, or have been there so long that the server would have found out. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use muster_credential::{Claims, PublicKey, UserClaims};
use muster_model::{SignedDuration, Timestamp};
use muster_proto::fleet::v1::{NodeConnection, SharedKey};
use serde::Deserialize;

/// So long after the later connection began what is said on the former one was not on its way before.
const SETTLED: SignedDuration = SignedDuration::from_secs(10);
/// After so long a server has found out that nobody is there: it asks every two minutes, and gives up at the third time.
const FOUND_OUT: SignedDuration = SignedDuration::from_mins(8);
/// Keys that are looked at in one round.
const MOST_LOOKED_AT: usize = 20;
/// Addresses of a key that are compared.
const MOST_OF_A_KEY: usize = 32;

/// A connection: the server's id, and its number there.
pub(super) type Id = (String, u64);

/// A connection of a node, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Live {
    name: String,
    public_key: String,
    host: String,
    start: Timestamp,
}

impl Live {
    /// For fleet, which knows whom it has signed.
    pub(super) fn told(&self) -> NodeConnection {
        NodeConnection {
            name: self.name.clone(),
            public_key: self.public_key.clone(),
        }
    }
}

/// Who is connected.
#[derive(Debug, Default)]
pub(super) struct Connections(HashMap<Id, Live>);

impl Connections {
    pub(super) fn begin(&mut self, id: Id, live: Live) {
        self.0.insert(id, live);
    }

    pub(super) fn end(&mut self, id: &Id) {
        self.0.remove(id);
    }

    /// These are all.
    pub(super) fn replace(&mut self, all: HashMap<Id, Live>) {
        self.0 = all;
    }

    /// Connections whose keys are used from several addresses, the longest known keys first.
    pub(super) fn suspects(&self, now: Timestamp) -> Vec<Vec<Id>> {
        // Of several from one address the latest is the one that matters.
        let mut by_key: HashMap<&str, BTreeMap<&str, (Timestamp, &Id)>> = HashMap::new();
        for (id, live) in &self.0 {
            let latest = by_key
                .entry(&live.public_key)
                .or_default()
                .entry(&live.host)
                .or_insert((live.start, id));
            *latest = (*latest).max((live.start, id));
        }
        let mut suspects: Vec<(Timestamp, Vec<Id>)> = by_key
            .into_values()
            .filter_map(|places| {
                let mut starts: Vec<Timestamp> = places.values().map(|(start, _)| *start).collect();
                starts.sort_unstable();
                // Since when there are two.
                let since = *starts.get(1)?;
                let ids = places.into_values().take(MOST_OF_A_KEY).map(|(_, id)| id.clone());
                (now >= since + SETTLED).then(|| (since, ids.collect()))
            })
            .collect();
        suspects.sort_unstable();
        suspects.truncate(MOST_LOOKED_AT);
        suspects.into_iter().map(|(_, ids)| ids).collect()
    }

    /// Whether the connections of one key are those of several machines, by when something was last said on each;
    /// those of which the server knows nothing any more are gone.
    pub(super) fn judge(&mut self, ids: &[Id], last: &HashMap<Id, Timestamp>, now: Timestamp) -> Option<SharedKey> {
        for id in ids {
            if !last.contains_key(id) {
                self.end(id);
            }
        }
        let known: Vec<(Timestamp, &Live)> = ids
            .iter()
            .filter_map(|id| Some((*last.get(id)?, self.0.get(id)?)))
            .collect();
        let mut hosts = BTreeSet::new();
        for (number, (said, one)) in known.iter().enumerate() {
            for (other_said, other) in &known[number + 1..] {
                let since = one.start.max(other.start);
                let is_alive = |said: Timestamp| said >= since + SETTLED || now >= since + FOUND_OUT;
                if one.host != other.host && is_alive(*said) && is_alive(*other_said) {
                    hosts.extend([&one.host, &other.host]);
                }
            }
        }
        let (_, one) = known.first().filter(|_| !hosts.is_empty())?;
        Some(SharedKey {
            name: one.name.clone(),
            public_key: one.public_key.clone(),
            hosts: hosts.into_iter().cloned().collect(),
        })
    }
}

/// An event: somebody has connected, or has gone.
#[derive(Debug, Deserialize)]
struct Event {
    server: Server,
    client: Client,
}

#[derive(Debug, Deserialize)]
struct Server {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Client {
    id: u64,
    #[serde(default)]
    host: String,
    #[serde(default)]
    start: String,
    /// The user's claims. What else is said of its name is the account's.
    #[serde(default)]
    jwt: String,
}

/// What a server answers who is asked for its connections.
#[derive(Debug, Deserialize)]
struct Listed {
    data: List,
}

#[derive(Debug, Deserialize)]
struct List {
    server_id: String,
    #[serde(default)]
    total: usize,
    #[serde(default)]
    connections: Vec<ListedClient>,
}

#[derive(Debug, Deserialize)]
struct ListedClient {
    cid: u64,
    #[serde(default)]
    ip: String,
    #[serde(default)]
    start: String,
    #[serde(default)]
    last_activity: String,
    #[serde(default)]
    jwt: String,
}

/// Who has connected, if a key for nodes has signed it.
pub(super) fn connected(said: &[u8], services: &PublicKey) -> Option<(Id, Live)> {
    let Event { server, client } = serde_json::from_slice(said).ok()?;
    let live = live(&client.jwt, client.host, &client.start, services)?;
    Some(((server.id, client.id), live))
}

/// Which connection has ended.
pub(super) fn disconnected(said: &[u8]) -> Option<Id> {
    let Event { server, client } = serde_json::from_slice(said).ok()?;
    Some((server.id, client.id))
}

/// A page of the connections of a server.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The server.
    pub(super) server: String,
    /// How many it has, on all pages.
    pub(super) total: usize,
    /// How many stand on this one.
    pub(super) count: usize,
    /// Those of nodes.
    pub(super) nodes: Vec<(Id, Live)>,
    /// When something was last said on each of all of them.
    pub(super) last: Vec<(Id, Timestamp)>,
}

/// Reads a page.
pub(super) fn page(said: &[u8], services: &PublicKey) -> Option<Page> {
    let List {
        server_id,
        total,
        connections,
    } = serde_json::from_slice::<Listed>(said).ok()?.data;
    let mut page = Page {
        total,
        count: connections.len(),
        ..Page::default()
    };
    for client in connections {
        let id = (server_id.clone(), client.cid);
        if let Ok(last) = client.last_activity.parse().or_else(|_| client.start.parse()) {
            page.last.push((id.clone(), last));
        }
        if let Some(live) = live(&client.jwt, client.ip, &client.start, services) {
            page.nodes.push((id, live));
        }
    }
    page.server = server_id;
    Some(page)
}

fn live(jwt: &str, host: String, start: &str, services: &PublicKey) -> Option<Live> {
    let verified = Claims::<UserClaims>::verify(jwt).ok()?;
    (verified.issuer != *services).then(|| Live {
        name: verified.claims.name,
        public_key: verified.claims.subject.to_string(),
        host,
        start: start.parse().unwrap_or(Timestamp::UNIX_EPOCH),
    })
}

#[cfg(test)]
mod tests {
    use muster_credential::{Key, KeyKind};
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn id(number: u64) -> Id {
        ("N".to_owned(), number)
    }

    /// Connections of one key, each with its address and when it began.
    fn of(connections: &[(&str, i64)]) -> Connections {
        let mut all = Connections::default();
        for ((host, start), number) in connections.iter().zip(0..) {
            let live = Live {
                name: "mi-0".to_owned(),
                public_key: "U".to_owned(),
                host: (*host).to_owned(),
                start: at(*start),
            };
            all.begin(id(number), live);
        }
        all
    }

    fn judge(connections: &[(&str, i64)], last: &[i64], now: i64) -> Option<Vec<String>> {
        let ids: Vec<Id> = (0..connections.len() as u64).map(id).collect();
        let last = ids.iter().cloned().zip(last.iter().map(|second| at(*second))).collect();
        of(connections).judge(&ids, &last, at(now)).map(|shared| shared.hosts)
    }

    #[test]
    fn a_key_in_two_places_is_found_once_both_have_spoken() {
        let two = [("a", 0), ("b", 100)];
        assert_eq!(
            of(&two).suspects(at(105)),
            Vec::<Vec<Id>>::new(),
            "perhaps the former one has just gone"
        );
        assert_eq!(of(&two).suspects(at(110)).len(), 1);
        assert_eq!(judge(&two, &[109, 150], 160), None);
        let both = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(judge(&two, &[110, 150], 160), both);
        // Whoever only listens is found too, by being there.
        assert_eq!(judge(&two, &[0, 100], 100 + 8 * 60 - 1), None);
        assert_eq!(judge(&two, &[0, 100], 100 + 8 * 60), both);
    }

    #[test]
    fn a_machine_that_moves_is_one() {
        // The former connection is dead, and is said to be there for some minutes more.
        assert_eq!(judge(&[("a", 0), ("b", 100)], &[99, 400], 400), None);
        // Several from one place are one machine's: one ends while the next begins.
        assert_eq!(of(&[("a", 0), ("a", 1)]).suspects(at(1_000)), Vec::<Vec<Id>>::new());
        // It comes back to where it was.
        assert_eq!(judge(&[("a", 0), ("b", 100), ("a", 200)], &[99, 199, 500], 400), None);
    }

    #[test]
    fn connections_of_which_the_server_knows_nothing_are_gone() {
        let mut all = of(&[("a", 0), ("b", 0)]);
        let ids = [id(0), id(1)];
        assert_eq!(all.judge(&ids, &HashMap::from([(id(0), at(900))]), at(1_000)), None);
        assert_eq!(all.suspects(at(1_000)), Vec::<Vec<Id>>::new());
        let mut all = of(&[("a", 0), ("b", 0)]);
        all.end(&id(1));
        assert_eq!(all.suspects(at(1_000)), Vec::<Vec<Id>>::new());
    }

    #[test]
    fn services_are_no_nodes() {
        let (services, nodes) = (Key::generate(KeyKind::Account), Key::generate(KeyKind::Account));
        let user = Key::generate(KeyKind::User);
        let token = |issuer: &Key| {
            let claims = Claims {
                name: "*".to_owned(),
                subject: user.public().clone(),
                issued_at: 0,
                expires_at: None,
                body: UserClaims::scoped(nodes.public().clone(), Vec::new()),
            };
            claims.sign(issuer).unwrap()
        };
        let said = |jwt: &str| {
            let client = json!({
                "jwt": jwt, "name_tag": "MUSTER", "id": 7, "host": "192.0.2.1", "start": "2026-01-02T03:04:05.678Z",
            });
            json!({"server": {"id": "N", "name": "n"}, "client": client}).to_string()
        };
        let read = |jwt: &str| connected(said(jwt).as_bytes(), services.public());
        assert_eq!(read(&token(&services)), None);
        assert_eq!(read(""), None);
        let (seen, live) = read(&token(&nodes)).unwrap();
        assert_eq!((seen, live.host.as_str()), (id(7), "192.0.2.1"));
        let told = live.told();
        assert_eq!(
            (told.name.as_str(), told.public_key.as_str()),
            ("*", user.public().as_str())
        );
        assert_eq!(disconnected(said("").as_bytes()), Some(id(7)));

        let list = json!({"server": {}, "data": {"server_id": "N", "total": 3, "connections": [
            {"cid": 1, "ip": "192.0.2.1", "start": "2026-01-02T03:04:05Z", "last_activity": "2026-01-02T03:04:06Z",
             "jwt": token(&nodes)},
            {"cid": 2, "ip": "192.0.2.1", "jwt": token(&services)},
        ]}});
        let page = page(list.to_string().as_bytes(), services.public()).unwrap();
        assert_eq!((page.server.as_str(), page.total, page.count), ("N", 3, 2));
        assert_eq!(page.nodes[0].0, id(1));
        assert_eq!(page.last, [(id(1), "2026-01-02T03:04:06Z".parse().unwrap())]);
    }
}
