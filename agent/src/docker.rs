//! The command line of the docker program for `aws:runDockerAction` (documents.md 5). Pure.
//!
//! Values become single arguments and never pass a shell. What could be mistaken for an option is refused.

/// The inputs of a step; empty texts are absent ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) action: String,
    pub(crate) container: String,
    pub(crate) image: String,
    pub(crate) cmd: String,
    pub(crate) memory: String,
    pub(crate) cpu_shares: String,
    pub(crate) volumes: Vec<String>,
    pub(crate) user: String,
    pub(crate) publish: String,
    /// A file with the variables for the container, where there are any.
    pub(crate) env_file: Option<String>,
}

/// Why there is no command line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("action {action} needs the input {input}")]
    Missing { action: String, input: &'static str },
    #[error("the input {0} must not begin with a dash")]
    Option(&'static str),
    #[error("the input cmd has a quote that is not closed")]
    Quote,
    #[error("action {0:?} is none of Create, Start, Run, Stop, Rm, Exec, Inspect, Logs, Ps, Stats, Pull, Images, Rmi")]
    Action(String),
}

/// The arguments of the docker program.
pub(crate) fn arguments(order: &Order) -> Result<Vec<String>, OrderError> {
    for (input, value) in [("container", &order.container), ("image", &order.image)] {
        if value.starts_with('-') {
            return Err(OrderError::Option(input));
        }
    }
    let needed = |input: &'static str, value: &String| match value.is_empty() {
        true => Err(OrderError::Missing {
            action: order.action.clone(),
            input,
        }),
        false => Ok(value.clone()),
    };
    let container = || needed("container", &order.container);
    let image = || needed("image", &order.image);
    let command = words(&order.cmd)?;

    let mut arguments = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    match order.action.as_str() {
        action @ ("Create" | "Run") => {
            let image = image()?;
            add(&[if action == "Run" { "run" } else { "create" }]);
            for (option, value) in [
                ("--name", &order.container),
                ("--memory", &order.memory),
                ("--cpu-shares", &order.cpu_shares),
                ("--user", &order.user),
                ("--publish", &order.publish),
            ] {
                if !value.is_empty() {
                    add(&[&format!("{option}={value}")]);
                }
            }
            for volume in order.volumes.iter().filter(|volume| !volume.is_empty()) {
                add(&[&format!("--volume={volume}")]);
            }
            if let Some(file) = &order.env_file {
                add(&[&format!("--env-file={file}")]);
            }
            add(&[&image]);
            arguments.extend(command);
        }
        "Exec" => {
            let container = container()?;
            needed("cmd", &order.cmd)?;
            add(&["exec"]);
            if !order.user.is_empty() {
                add(&[&format!("--user={}", order.user)]);
            }
            if let Some(file) = &order.env_file {
                add(&[&format!("--env-file={file}")]);
            }
            add(&[&container]);
            arguments.extend(command);
        }
        "Start" => add(&["start", &container()?]),
        "Stop" => add(&["stop", &container()?]),
        "Rm" => add(&["rm", &container()?]),
        "Inspect" => add(&["inspect", &container()?]),
        "Logs" => add(&["logs", &container()?]),
        "Ps" => add(&["ps", "--all"]),
        "Stats" => {
            // Without the option it would never end.
            add(&["stats", "--no-stream"]);
            if !order.container.is_empty() {
                add(&[&order.container]);
            }
        }
        "Pull" => add(&["pull", &image()?]),
        "Images" => add(&["images"]),
        "Rmi" => add(&["rmi", &image()?]),
        other => return Err(OrderError::Action(other.to_owned())),
    }
    Ok(arguments)
}

/// Splits a command into words as a shell does, with quotes and backslashes, but without anything else of a shell.
fn words(text: &str) -> Result<Vec<String>, OrderError> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        Some(_) => Err(OrderError::Quote),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(action: &str) -> Order {
        Order {
            action: action.into(),
            container: "web".into(),
            image: "nginx:1".into(),
            ..Order::default()
        }
    }

    fn line(order: &Order) -> String {
        arguments(order).unwrap().join(" ")
    }

    #[test]
    fn each_action_has_its_arguments() {
        for (action, expected) in [
            ("Create", "create --name=web nginx:1"),
            ("Run", "run --name=web nginx:1"),
            ("Start", "start web"),
            ("Stop", "stop web"),
            ("Rm", "rm web"),
            ("Inspect", "inspect web"),
            ("Logs", "logs web"),
            ("Ps", "ps --all"),
            ("Stats", "stats --no-stream web"),
            ("Pull", "pull nginx:1"),
            ("Images", "images"),
            ("Rmi", "rmi nginx:1"),
        ] {
            assert_eq!(line(&order(action)), expected);
        }
        let exec = Order {
            cmd: "sh -c 'echo \"a b\"'".into(),
            user: "www".into(),
            ..order("Exec")
        };
        assert_eq!(
            arguments(&exec).unwrap(),
            ["exec", "--user=www", "web", "sh", "-c", "echo \"a b\""]
        );
    }

    #[test]
    fn everything_that_can_be_set_is_one_argument() {
        let all = Order {
            cmd: "nginx -g \"daemon off\"".into(),
            memory: "64m".into(),
            cpu_shares: "512".into(),
            volumes: vec!["/a b:/c".into(), String::new(), "/d:/e:ro".into()],
            user: "www; touch /tmp/x".into(),
            publish: "80:80".into(),
            env_file: Some("/run/env".into()),
            ..order("Run")
        };
        assert_eq!(
            arguments(&all).unwrap(),
            [
                "run",
                "--name=web",
                "--memory=64m",
                "--cpu-shares=512",
                "--user=www; touch /tmp/x",
                "--publish=80:80",
                "--volume=/a b:/c",
                "--volume=/d:/e:ro",
                "--env-file=/run/env",
                "nginx:1",
                "nginx",
                "-g",
                "daemon off",
            ]
        );
    }

    #[test]
    fn what_is_missing_or_pretends_to_be_an_option_is_refused() {
        let nothing = |action: &str| Order {
            action: action.into(),
            ..Order::default()
        };
        for (order, expected) in [
            (
                nothing("Run"),
                OrderError::Missing {
                    action: "Run".into(),
                    input: "image",
                },
            ),
            (
                nothing("Start"),
                OrderError::Missing {
                    action: "Start".into(),
                    input: "container",
                },
            ),
            (
                order("Exec"),
                OrderError::Missing {
                    action: "Exec".into(),
                    input: "cmd",
                },
            ),
            (
                Order {
                    image: "--privileged".into(),
                    ..order("Run")
                },
                OrderError::Option("image"),
            ),
            (
                Order {
                    cmd: "sh -c 'x".into(),
                    ..order("Run")
                },
                OrderError::Quote,
            ),
            (nothing("Prune"), OrderError::Action("Prune".into())),
        ] {
            assert_eq!(arguments(&order), Err(expected));
        }
    }
}
