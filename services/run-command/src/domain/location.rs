//! Where the complete outputs of steps are in the object store (run-command 8.3). The node writes them there.

/// Where the outputs of one command go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location<'a> {
    /// What URLs of buckets begin with; empty: there are no URLs.
    pub(crate) url: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) key_prefix: &'a str,
    pub(crate) command_id: &'a str,
    pub(crate) node_id: &'a str,
}

impl Location<'_> {
    /// `[prefix/]<command>/<node>/<plugin>`; empty without a bucket.
    pub(crate) fn prefix(&self, action: &str) -> String {
        if self.bucket.is_empty() {
            return String::new();
        }
        let rest = format!("{}/{}/{}", self.command_id, self.node_id, plugin(action));
        match self.key_prefix.trim_matches('/') {
            "" => rest,
            prefix => format!("{prefix}/{rest}"),
        }
    }

    /// The URL of a step's `stdout` or `stderr`; empty without a bucket. Nothing is there if the step printed nothing.
    pub(crate) fn url(&self, action: &str, step: &str, stream: &str) -> String {
        if self.bucket.is_empty() || self.url.is_empty() {
            return String::new();
        }
        // In schema 1.2 a step is called as its action, and its first property has the number 0.
        let step = match step == action {
            true => format!("0.{}", plugin(action)),
            false => step.to_owned(),
        };
        let (url, bucket, prefix) = (self.url.trim_end_matches('/'), self.bucket, self.prefix(action));
        format!("{url}/{bucket}/{prefix}/{step}/{stream}")
    }
}

fn plugin(action: &str) -> String {
    action.replace(':', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCATION: Location<'_> = Location {
        url: "https://objects.example.org/",
        bucket: "logs",
        key_prefix: "a/b/",
        command_id: "c",
        node_id: "mi-1",
    };

    #[test]
    fn a_location_is_where_the_node_writes() {
        assert_eq!(LOCATION.prefix("aws:runShellScript"), "a/b/c/mi-1/awsrunShellScript");
        assert_eq!(
            LOCATION.url("aws:runShellScript", "run", "stdout"),
            "https://objects.example.org/logs/a/b/c/mi-1/awsrunShellScript/run/stdout"
        );
        assert_eq!(
            LOCATION.url("aws:runShellScript", "aws:runShellScript", "stderr"),
            "https://objects.example.org/logs/a/b/c/mi-1/awsrunShellScript/0.awsrunShellScript/stderr"
        );
    }

    #[test]
    fn without_a_bucket_there_is_no_location() {
        let none = Location { bucket: "", ..LOCATION };
        assert_eq!(none.prefix("aws:runShellScript"), "");
        assert_eq!(none.url("aws:runShellScript", "run", "stdout"), "");
        let unnamed = Location { url: "", ..LOCATION };
        assert_eq!(unnamed.url("aws:runShellScript", "run", "stdout"), "");
    }
}
