//! `ENV_VAR` parameters in scripts: documents.md 3.3.

use muster_document::{Language, PlannedPart, Verdict};
use serde_json::{Value, json};

use super::{command, document_2_2, plan_on_linux, shell};

fn parameters() -> Value {
    json!({
        "p": {"type": "String", "default": "VALUE", "interpolationType": "ENV_VAR"},
        "plain": {"type": "String", "default": "it's"},
        "list": {"type": "StringList", "default": ["cat <<X", "text"]},
    })
}

fn planned(action: &str, run_command: &Value) -> PlannedPart {
    let step = json!({"action": action, "name": "a", "inputs": {"runCommand": run_command, "workingDirectory": "/srv/{{ p }}"}});
    let plan = plan_on_linux(&command(&document_2_2(&parameters(), &json!([step]))), &[]);
    assert_eq!(plan.environment().get("SSM_p").map(String::as_str), Some("VALUE"));
    assert_eq!(plan.environment().len(), 1);
    let Verdict::Run(parts) = plan.steps()[0].verdict() else {
        panic!("not run")
    };
    parts[0].clone()
}

fn check(action: &str, script: &str, expected: &str) {
    let by_lines: Vec<&str> = script.split('\n').collect();
    for written in [json!(script), json!(by_lines)] {
        let part = planned(action, &written);
        assert_eq!(part.script().unwrap(), format!("{expected}\n"), "{written}");
        assert!(!part.script().unwrap().contains("VALUE"));
        assert_eq!(
            part.text("workingDirectory").as_deref(),
            Some("/srv/VALUE"),
            "other inputs are no scripts"
        );
    }
}

#[test]
fn a_shell_reference_fits_the_quotes_it_stands_in() {
    for (script, expected) in [
        ("echo {{ p }}", r#"echo "${SSM_p}""#),
        ("echo {{p}}{{p}}", r#"echo "${SSM_p}""${SSM_p}""#),
        ("x={{ p }}; y", r#"x="${SSM_p}"; y"#),
        (r#"echo "{{ p }}""#, r#"echo "${SSM_p}""#),
        (r#"echo "a {{ p }} b""#, r#"echo "a ${SSM_p} b""#),
        ("echo '{{ p }}'", r#"echo ''"${SSM_p}"''"#),
        ("echo 'a {{ p }} b'", r#"echo 'a '"${SSM_p}"' b'"#),
        ("echo $'a\\'{{ p }}'", r#"echo $'a\''"${SSM_p}"$''"#),
        (r#"echo "$(cat {{ p }})""#, r#"echo "$(cat "${SSM_p}")""#),
        (
            r#"echo "$(cat "{{ p }}")" {{ p }}"#,
            r#"echo "$(cat "${SSM_p}")" "${SSM_p}""#,
        ),
        ("echo `cat {{ p }}` {{p}}", r#"echo `cat "${SSM_p}"` "${SSM_p}""#),
        (r#"echo ${x:-{{ p }}}"#, r#"echo ${x:-"${SSM_p}"}"#),
        (r#"echo "${x:-{{ p }}}""#, r#"echo "${x:-${SSM_p}}""#),
        (r#"echo "it's {{ p }}""#, r#"echo "it's ${SSM_p}""#),
        (r#"echo \"{{ p }}\""#, r#"echo \""${SSM_p}"\""#),
        (r#"echo \'{{ p }}"#, r#"echo \'"${SSM_p}""#),
        (r#"echo \{{ p }}"#, r#"echo "${SSM_p}""#),
        (r#"echo "\{{ p }}""#, r#"echo "${SSM_p}""#),
        (r#"echo "${{ p }}""#, r#"echo "\$${SSM_p}""#),
        ("echo ${{ p }}", r#"echo \$"${SSM_p}""#),
        ("echo $${{ p }}", r#"echo $$"${SSM_p}""#),
        ("# don't {{ p }}\necho {{ p }}", "# don't ${SSM_p}\necho \"${SSM_p}\""),
        ("echo a#b'{{ p }}'", r#"echo a#b''"${SSM_p}"''"#),
        ("echo ${#x} '{{ p }}'", r#"echo ${#x} ''"${SSM_p}"''"#),
        (
            "echo $((1 << {{ p }}))\necho {{ p }}",
            "echo $((1 << ${SSM_p}))\necho \"${SSM_p}\"",
        ),
        ("echo \"\n{{ p }}\n\"\n{{ p }}", "echo \"\n${SSM_p}\n\"\n\"${SSM_p}\""),
        ("echo '\n{{ p }}\n'", "echo '\n'\"${SSM_p}\"'\n'"),
        (
            "cat <<EOF\nit's {{ p }} \\$\nEOF\necho {{ p }}",
            "cat <<EOF\nit's ${SSM_p} \\$\nEOF\necho \"${SSM_p}\"",
        ),
        (
            "cat <<-EOF; ls\n\t{{ p }}\n\tEOF\necho {{ p }}",
            "cat <<-EOF; ls\n\t${SSM_p}\n\tEOF\necho \"${SSM_p}\"",
        ),
        (
            "cat << EOF\n EOF\n{{ p }}\nEOF\n{{ p }}",
            "cat << EOF\n EOF\n${SSM_p}\nEOF\n\"${SSM_p}\"",
        ),
        (
            "cat <<'EOF'\n{{ p }}\nEOF\necho {{ p }}",
            "cat <<'EOF'\n${SSM_p}\nEOF\necho \"${SSM_p}\"",
        ),
        (
            "cat <<\"E F\"\n{{ p }}\nE F\n{{ p }}",
            "cat <<\"E F\"\n${SSM_p}\nE F\n\"${SSM_p}\"",
        ),
        ("cat <<\\X\n'\nX\n{{ p }}", "cat <<\\X\n'\nX\n\"${SSM_p}\""),
        (
            "cat <<A <<B\n'\nA\n\"\nB\n{{ p }}",
            "cat <<A <<B\n'\nA\n\"\nB\n\"${SSM_p}\"",
        ),
        ("cat <<< {{ p }}\n{{ p }}", "cat <<< \"${SSM_p}\"\n\"${SSM_p}\""),
        (
            "(cd {{ p }}) && f() { echo {{ p }}; }",
            r#"(cd "${SSM_p}") && f() { echo "${SSM_p}"; }"#,
        ),
        (
            "if [ -z \"${SSM_p+x}\" ]; then SSM_p=\"{{p}}\"; fi; echo \"$SSM_p\"",
            "if [ -z \"${SSM_p+x}\" ]; then SSM_p=\"${SSM_p}\"; fi; echo \"$SSM_p\"",
        ),
        ("echo {{ unknown }} {{ p }}", r#"echo {{ unknown }} "${SSM_p}""#),
        // A pasted value counts for what follows it.
        ("echo {{ plain }} {{ p }}'", r#"echo it's '"${SSM_p}"''"#),
    ] {
        check("aws:runShellScript", script, expected);
    }
}

#[test]
fn a_spliced_list_is_part_of_the_script() {
    let part = planned("aws:runShellScript", &json!(["{{ list }}", "{{ p }}", "X", "{{ p }}"]));
    assert_eq!(part.script().unwrap(), "cat <<X\ntext\n${SSM_p}\nX\n\"${SSM_p}\"\n");
}

#[test]
fn a_powershell_reference_fits_the_quotes_it_stands_in() {
    for (script, expected) in [
        ("Write-Host {{ p }}", "Write-Host ${env:SSM_p}"),
        ("Write-Host \"{{ p }}\"", "Write-Host \"${env:SSM_p}\""),
        ("Write-Host \"a {{ p }}b\"", "Write-Host \"a ${env:SSM_p}b\""),
        ("Write-Host '{{ p }}'", "Write-Host ${env:SSM_p}"),
        ("Write-Host '{{ p }}' '{{ p }}'", "Write-Host ${env:SSM_p} ${env:SSM_p}"),
        ("Write-Host 'a {{ p }}'", "Write-Host 'a ${env:SSM_p}'"),
        ("Write-Host '{{ p }}''s'", "Write-Host '${env:SSM_p}''s'"),
        (
            "Write-Host \"it's {{ p }}\" '{{ p }}'",
            "Write-Host \"it's ${env:SSM_p}\" ${env:SSM_p}",
        ),
        (
            "Write-Host \"$(Get-Item '{{ p }}')\" '{{ p }}'",
            "Write-Host \"$(Get-Item ${env:SSM_p})\" ${env:SSM_p}",
        ),
        ("Write-Host `\"'{{ p }}'", "Write-Host `\"${env:SSM_p}"),
        ("Write-Host `{{ p }}", "Write-Host ${env:SSM_p}"),
        ("Write-Host \"${{ p }}\"", "Write-Host \"`$${env:SSM_p}\""),
        ("# don't\n'{{ p }}'", "# don't\n${env:SSM_p}"),
        ("<# don't\n#> '{{ p }}'", "<# don't\n#> ${env:SSM_p}"),
        (
            "$x = @\"\nit's \"{{ p }}\"\n\"@\n'{{ p }}'",
            "$x = @\"\nit's \"${env:SSM_p}\"\n\"@\n${env:SSM_p}",
        ),
        (
            "$x = @'\nit's {{ p }}\n'@\n'{{ p }}'",
            "$x = @'\nit's ${env:SSM_p}\n'@\n${env:SSM_p}",
        ),
        ("Write-Host \u{2018}{{ p }}\u{2019}", "Write-Host ${env:SSM_p}"),
    ] {
        check("aws:runPowerShellScript", script, expected);
    }
}

#[test]
fn quotes_that_expand_nothing_are_reported() {
    for (action, script, expected) in [
        ("aws:runShellScript", "cat <<'EOF'\n{{ p }}\nEOF", 1),
        ("aws:runShellScript", "cat <<EOF\n{{ p }}\nEOF", 0),
        ("aws:runShellScript", "echo '{{ p }}'", 0),
        ("aws:runPowerShellScript", "echo 'a {{ p }}'", 1),
        ("aws:runPowerShellScript", "echo '{{ p }}'", 0),
    ] {
        let step = json!({"action": action, "name": "a", "inputs": {"runCommand": [script]}});
        let document = command(&document_2_2(&parameters(), &json!([step])));
        assert_eq!(
            document.warnings().len(),
            expected,
            "{script}: {:?}",
            document.warnings()
        );
    }
}

#[test]
fn a_script_has_its_lines_and_one_line_end() {
    let document = |written: Value| {
        command(&document_2_2(
            &json!({"c": {"type": "StringList", "default": ["x", "y"]}}),
            &json!([shell("a", &written)]),
        ))
    };
    for (written, expected) in [
        (json!("a"), "a\n"),
        (json!("a\n"), "a\n"),
        (json!(["a", "b"]), "a\nb\n"),
        (json!(["a\n", "b\n"]), "a\n\nb\n"),
        (json!([]), "\n"),
        (json!("{{ c }}"), "x\ny\n"),
        (json!(["{{ c }}"]), "x\ny\n"),
        (json!(["1", 2, true]), "1\n2\ntrue\n"),
    ] {
        let plan = plan_on_linux(&document(written.clone()), &[]);
        let Verdict::Run(parts) = plan.steps()[0].verdict() else {
            panic!("not run")
        };
        assert_eq!(parts[0].script().as_deref(), Some(expected), "{written}");
        assert_eq!(parts[0].language(), Some(Language::Sh));
    }
}

/// The judge is a real shell: whatever the value and wherever it stands, it comes out as it went in and runs nothing.
#[cfg(unix)]
#[test]
fn no_value_can_run_in_a_shell() {
    let places = [
        "printf %s {{ p }}",
        "printf %s \"{{ p }}\"",
        "printf %s '{{ p }}'",
        "printf %s \"$(printf '%s.' \"{{ p }}\")\" | sed '$s/[.]$//'",
        "x={{ p }}; printf %s \"$x\"",
        "printf %s \"${nothing:-{{ p }}}\"",
        "printf %s ${nothing:-{{ p }}}",
        "printf %s \\{{ p }}",
        "# {{ p }}\nprintf %s '{{ p }}'",
        "cat <<E\n{{ p }}\nE\n",
    ];
    let values = [
        "\"; echo EVIL; #",
        "'; echo EVIL; '",
        "$(echo EVIL)",
        "`echo EVIL`",
        "a  b *",
        "$HOME",
        "\\",
        "-n",
        "a\nE\necho EVIL",
        "{{ p }}",
        "' \" ` $ \\ ! & | ; < > ( )",
        "é~",
    ];
    for place in places {
        let part = planned("aws:runShellScript", &json!(place.split('\n').collect::<Vec<_>>()));
        for value in values {
            let output = std::process::Command::new("sh")
                .args(["-c", &part.script().unwrap()])
                .env("SSM_p", value)
                .output()
                .unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            assert_eq!(
                printed.strip_suffix('\n').unwrap_or(&printed),
                value,
                "{place}: {:?}",
                part.script()
            );
        }
    }
}
