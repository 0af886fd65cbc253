//! Network interfaces: `AWS:Network` 1.0.

use std::net::Ipv4Addr;

use serde::Deserialize;

use super::Entry;

#[derive(Debug, Deserialize)]
struct Link {
    ifname: String,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    address: String,
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(Debug, Deserialize)]
struct Address {
    family: String,
    #[serde(default)]
    local: String,
    #[serde(default)]
    prefixlen: u32,
}

#[derive(Debug, Deserialize)]
struct Route {
    dst: String,
    #[serde(default)]
    gateway: String,
    #[serde(default)]
    dev: String,
}

/// The interfaces but for the loopback, from `ip -j addr`, `ip -j route` and the text of `resolv.conf`.
///
/// # Errors
/// If the tool's output is not understood.
pub(crate) fn interfaces(addr: &str, route: &str, resolv_conf: &str) -> Result<Vec<Entry>, serde_json::Error> {
    let links: Vec<Link> = parse(addr)?;
    let routes: Vec<Route> = parse(route)?;
    let servers = name_servers(resolv_conf);
    let is_loopback = |link: &Link| link.flags.iter().any(|flag| flag == "LOOPBACK");
    let entries = links.iter().filter(|link| !is_loopback(link)).map(|link| {
        let of = |family: &'static str| link.addr_info.iter().filter(move |address| address.family == family);
        let list = |family| join(of(family).map(|address| address.local.clone()));
        let gateways = routes
            .iter()
            .filter(|route| route.dst == "default" && route.dev == link.ifname);
        let mut entry = Entry::default();
        entry.set("Name", &link.ifname);
        entry.set("SubnetMask", &join(of("inet").map(|address| mask(address.prefixlen))));
        entry.set("Gateway", &join(gateways.map(|route| route.gateway.clone())));
        // Servers belong to the machine; they are told where there is an address to reach them from.
        if !link.addr_info.is_empty() {
            entry.set("DNSServer", &servers);
        }
        entry.set("MacAddress", &link.address);
        entry.set("IPV4", &list("inet"));
        entry.set("IPV6", &list("inet6"));
        entry
    });
    Ok(entries.collect())
}

/// Old versions of the tool print nothing at all for an empty list.
fn parse<T: for<'a> Deserialize<'a>>(text: &str) -> Result<Vec<T>, serde_json::Error> {
    match text.trim() {
        "" => Ok(Vec::new()),
        text => serde_json::from_str(text),
    }
}

fn mask(prefix: u32) -> String {
    let bits = u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0);
    Ipv4Addr::from(bits).to_string()
}

fn name_servers(resolv_conf: &str) -> String {
    let servers = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next().map(str::to_owned))?
    });
    join(servers)
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.filter(|item| !item.is_empty()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_told_with_all_their_addresses() {
        let addr = r#"[{"ifname":"lo","flags":["LOOPBACK"],"address":"00:00:00:00:00:00","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8}]},
            {"ifname":"eth0","flags":["UP"],"address":"02:fc:00:00:00:01","addr_info":[
                {"family":"inet","local":"10.0.0.5","prefixlen":20},{"family":"inet","local":"10.9.0.5","prefixlen":32},
                {"family":"inet6","local":"fe80::1","prefixlen":64}]},
            {"ifname":"wg0","flags":["UP"],"addr_info":[]}]"#;
        let route = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"eth0"},{"dst":"10.0.0.0/20","dev":"eth0"}]"#;
        let found = interfaces(
            addr,
            route,
            "# comment\nnameserver 10.0.0.2\nsearch x\nnameserver 10.0.0.3\n",
        )
        .unwrap();
        assert_eq!(
            serde_json::to_value(&found).unwrap(),
            serde_json::json!([
                {
                    "Name": "eth0", "SubnetMask": "255.255.240.0,255.255.255.255", "Gateway": "10.0.0.1",
                    "DNSServer": "10.0.0.2,10.0.0.3", "MacAddress": "02:fc:00:00:00:01",
                    "IPV4": "10.0.0.5,10.9.0.5", "IPV6": "fe80::1",
                },
                {"Name": "wg0"},
            ])
        );
        assert_eq!(mask(0), "0.0.0.0");
        assert!(interfaces("no json", "", "").is_err());
        assert!(interfaces("", "", "").unwrap().is_empty());
    }
}
