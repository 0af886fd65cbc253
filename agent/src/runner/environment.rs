//! The environment of a script: a clean base and what the spec promises (agent.md B4), nothing of the agent's own.

use std::collections::BTreeMap;

use super::account::Account;

/// Where programs are looked for, by us and by scripts.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a script can learn about the run it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct About<'a> {
    pub(crate) command_id: &'a str,
    pub(crate) node_id: &'a str,
    pub(crate) region: &'a str,
    pub(crate) platform_name: &'a str,
    pub(crate) platform_version: &'a str,
}

/// The environment of a step, the later overriding the earlier: base, node configuration, the step's own input,
/// facts about the run, parameters that travel as variables.
pub(crate) fn compose(
    account: &Account,
    of_node: &BTreeMap<String, String>,
    of_step: &[(String, String)],
    about: &About<'_>,
    parameters: &[(String, String)],
) -> Vec<(String, String)> {
    let base = [
        ("PATH", SEARCH_PATH),
        ("LANG", "C.UTF-8"),
        ("HOME", &account.home),
        ("USER", &account.name),
        ("LOGNAME", &account.name),
        ("SHELL", &account.shell),
    ];
    let facts = [
        ("MUSTER_COMMAND_ID", about.command_id),
        ("MUSTER_NODE_ID", about.node_id),
        ("SSM_COMMAND_ID", about.command_id),
        ("AWS_SSM_INSTANCE_ID", about.node_id),
        ("AWS_SSM_REGION_NAME", about.region),
        ("AWS_SSM_PLATFORM_NAME", about.platform_name),
        ("AWS_SSM_PLATFORM_VERSION", about.platform_version),
    ];
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let mut all = BTreeMap::new();
    all.extend(owned(&base));
    all.extend(of_node.clone());
    all.extend(of_step.iter().cloned());
    all.extend(owned(&facts));
    all.extend(parameters.iter().cloned());
    // The operating system cannot carry such names and values; a name with '=' would pretend to be another.
    all.retain(|name, value| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About<'_> = About {
        command_id: "c",
        node_id: "mi-1",
        region: "local",
        platform_name: "Debian",
        platform_version: "13",
    };

    #[test]
    fn later_layers_win_and_facts_cannot_be_forged_by_a_step() {
        let account = Account::current();
        let node = BTreeMap::from([("PATH".to_owned(), "/opt/bin".to_owned())]);
        let step = [
            ("MUSTER_NODE_ID".to_owned(), "other".to_owned()),
            ("A".to_owned(), "1".to_owned()),
        ];
        let parameters = [("SSM_name".to_owned(), "value".to_owned())];
        let all: BTreeMap<_, _> = compose(&account, &node, &step, &ABOUT, &parameters)
            .into_iter()
            .collect();
        assert_eq!(all["PATH"], "/opt/bin");
        assert_eq!(all["MUSTER_NODE_ID"], "mi-1");
        assert_eq!(all["A"], "1");
        assert_eq!(all["SSM_name"], "value");
        assert_eq!(all["HOME"], account.home);
    }

    #[test]
    fn what_the_system_cannot_carry_is_left_out() {
        let account = Account::current();
        let step = [("A=B".to_owned(), "1".to_owned()), ("C".to_owned(), "a\0b".to_owned())];
        let all = compose(&account, &BTreeMap::new(), &step, &ABOUT, &[]);
        assert!(all.iter().all(|(name, _)| name != "A=B" && name != "C"));
    }
}
