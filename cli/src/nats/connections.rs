//! Who is connected with credentials of nodes, as the servers tell it: one by one in events, and all of them when asked.
//!
//! Two connections with one key from different addresses are two machines, if both live: a machine that has changed its
//! address leaves a connection behind, of which the server does not know yet that it is dead. So both must have said
//! something after the later one began, or have been there so long that the server would have found out. What the server
//! delivers to a connection says nothing; so it is counted what comes from it. Pure.

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
    /// How many messages had come from it when somebody last looked, and when that was.
    counted: Option<(u64, Timestamp)>,
    /// It has said something after this moment.
    spoke_after: Option<Timestamp>,
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
pub(super) struct Connections {
    all: HashMap<Id, Live>,
    /// The key that was looked at last: the next look goes on behind it.
    looked_at: String,
}

impl Connections {
    pub(super) fn begin(&mut self, id: Id, live: Live) {
        self.all.insert(id, live);
    }

    pub(super) fn end(&mut self, id: &Id) {
        self.all.remove(id);
    }

    /// These are all. What is known of those that were there stays known.
    pub(super) fn replace(&mut self, all: HashMap<Id, Live>) {
        let mut former = std::mem::take(&mut self.all);
        self.all = all;
        for (id, live) in &mut self.all {
            if let Some(known) = former.remove(id).filter(|known| known.public_key == live.public_key) {
                *live = known;
            }
        }
    }

    /// Connections whose keys are used from several addresses; not all at once, but all in turn.
    pub(super) fn suspects(&mut self, now: Timestamp) -> Vec<Vec<Id>> {
        // Of several from one address the latest is the one that matters.
        let mut by_key: BTreeMap<&str, BTreeMap<&str, (Timestamp, &Id)>> = BTreeMap::new();
        for (id, live) in &self.all {
            let latest = by_key
                .entry(&live.public_key)
                .or_default()
                .entry(&live.host)
                .or_insert((live.start, id));
            *latest = (*latest).max((live.start, id));
        }
        let mut suspects: Vec<(String, Vec<Id>)> = by_key
            .into_iter()
            .filter_map(|(key, places)| {
                let mut starts: Vec<Timestamp> = places.values().map(|(start, _)| *start).collect();
                starts.sort_unstable();
                // Since when there are two.
                let since = *starts.get(1)?;
                let ids = places.into_values().take(MOST_OF_A_KEY).map(|(_, id)| id.clone());
                (now >= since + SETTLED).then(|| (key.to_owned(), ids.collect()))
            })
            .collect();
        let next = suspects.partition_point(|(key, _)| *key <= self.looked_at);
        suspects.rotate_left(next);
        suspects.truncate(MOST_LOOKED_AT);
        if let Some((last, _)) = suspects.last() {
            self.looked_at.clone_from(last);
        }
        suspects.into_iter().map(|(_, ids)| ids).collect()
    }

    /// Whether the connections of one key are those of several machines, by how many messages have come from each;
    /// those of which the server knows nothing any more are gone.
    pub(super) fn judge(&mut self, ids: &[Id], count: &HashMap<Id, u64>, now: Timestamp) -> Option<SharedKey> {
        for id in ids {
            let (Some(count), Some(live)) = (count.get(id), self.all.get_mut(id)) else {
                self.end(id);
                continue;
            };
            if let Some((former, at)) = live.counted
                && *count > former
            {
                live.spoke_after = Some(at);
            }
            live.counted = Some((*count, now));
        }
        let known: Vec<&Live> = ids.iter().filter_map(|id| self.all.get(id)).collect();
        let mut hosts = BTreeSet::new();
        for (number, one) in known.iter().enumerate() {
            for other in &known[number + 1..] {
                let since = one.start.max(other.start);
                let has_spoken = |live: &Live| live.spoke_after.is_some_and(|moment| moment >= since + SETTLED);
                let is_alive = |live: &Live| has_spoken(live) || now >= since + FOUND_OUT;
                if one.host != other.host && is_alive(one) && is_alive(other) {
                    hosts.extend([&one.host, &other.host]);
                }
            }
        }
        let one = known.first().filter(|_| !hosts.is_empty())?;
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
    in_msgs: u64,
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
    /// How many messages have come from each of all of them.
    pub(super) said: Vec<(Id, u64)>,
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
        page.said.push((id.clone(), client.in_msgs));
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
        counted: None,
        spoke_after: None,
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
            all.begin(id(number), live("U", host, *start));
        }
        all
    }

    fn live(key: &str, host: &str, start: i64) -> Live {
        Live {
            name: "mi-0".to_owned(),
            public_key: key.to_owned(),
            host: host.to_owned(),
            start: at(start),
            counted: None,
            spoke_after: None,
        }
    }

    /// What is found when it is looked at these moments, with what has come from each connection until then.
    fn judge(connections: &[(&str, i64)], looks: &[(i64, &[u64])]) -> Option<Vec<String>> {
        let ids: Vec<Id> = (0..connections.len() as u64).map(id).collect();
        let mut all = of(connections);
        let mut found = None;
        for (now, counts) in looks {
            let counts = ids.iter().cloned().zip(counts.iter().copied()).collect();
            found = all.judge(&ids, &counts, at(*now)).map(|shared| shared.hosts);
        }
        found
    }

    const NOBODY: [Vec<Id>; 0] = [];

    #[test]
    fn a_key_in_two_places_is_found_once_both_have_spoken() {
        let two = [("a", 0), ("b", 100)];
        assert_eq!(
            of(&two).suspects(at(105)),
            NOBODY,
            "perhaps the former one has just gone"
        );
        assert_eq!(of(&two).suspects(at(110)).len(), 1);
        let both = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(
            judge(&two, &[(110, &[7, 3])]),
            None,
            "what was said before counts for nothing"
        );
        assert_eq!(judge(&two, &[(110, &[7, 3]), (112, &[7, 4])]), None);
        assert_eq!(judge(&two, &[(110, &[7, 3]), (112, &[7, 4]), (114, &[8, 4])]), both);
        // Whoever only listens is found too, by being there.
        assert_eq!(judge(&two, &[(110, &[7, 3]), (100 + 8 * 60 - 1, &[7, 3])]), None);
        assert_eq!(judge(&two, &[(110, &[7, 3]), (100 + 8 * 60, &[7, 3])]), both);
    }

    #[test]
    fn a_machine_that_moves_is_one() {
        // The former connection is dead, and is said to be there for some minutes more.
        assert_eq!(judge(&[("a", 0), ("b", 100)], &[(110, &[7, 3]), (400, &[7, 30])]), None);
        // Several from one place are one machine's: one ends while the next begins.
        assert_eq!(of(&[("a", 0), ("a", 1)]).suspects(at(1_000)), NOBODY);
        // It comes back to where it was.
        let looks: &[(i64, &[u64])] = &[
            (110, &[7, 3, 0]),
            (150, &[7, 9, 0]),
            (220, &[7, 9, 2]),
            (400, &[7, 9, 30]),
        ];
        assert_eq!(judge(&[("a", 0), ("b", 100), ("a", 200)], looks), None);
    }

    #[test]
    fn connections_of_which_the_server_knows_nothing_are_gone() {
        let mut all = of(&[("a", 0), ("b", 0)]);
        let ids = [id(0), id(1)];
        assert_eq!(all.judge(&ids, &HashMap::from([(id(0), 1)]), at(1_000)), None);
        assert_eq!(all.suspects(at(1_000)), NOBODY);
        let mut all = of(&[("a", 0), ("b", 0)]);
        all.end(&id(1));
        assert_eq!(all.suspects(at(1_000)), NOBODY);
        // A server that was started anew has others, and those that it has are known as before.
        let mut all = of(&[("a", 0), ("b", 0)]);
        all.judge(&ids, &HashMap::from([(id(0), 1), (id(1), 1)]), at(20));
        all.replace(HashMap::from([(id(0), live("U", "a", 0)), (id(7), live("U", "c", 30))]));
        assert!(all.all[&id(0)].counted.is_some() && !all.all.contains_key(&id(1)));
    }

    #[test]
    fn all_suspects_are_looked_at_in_turn() {
        let mut all = Connections::default();
        for key in 0..50 {
            for (number, host) in ["a", "b"].into_iter().enumerate() {
                all.begin(id(2 * key + number as u64), live(&format!("U{key:02}"), host, 0));
            }
        }
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            let looked_at = all.suspects(at(1_000));
            assert_eq!(looked_at.len(), MOST_LOOKED_AT);
            seen.extend(looked_at.into_iter().flatten());
        }
        assert_eq!(seen.len(), 100);
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
            {"cid": 1, "ip": "192.0.2.1", "start": "2026-01-02T03:04:05Z", "in_msgs": 5, "jwt": token(&nodes)},
            {"cid": 2, "ip": "192.0.2.1", "jwt": token(&services)},
        ]}});
        let page = page(list.to_string().as_bytes(), services.public()).unwrap();
        assert_eq!((page.server.as_str(), page.total, page.count), ("N", 3, 2));
        assert_eq!(page.nodes[0].0, id(1));
        assert_eq!(page.said, [(id(1), 5), (id(2), 0)]);
    }
}
