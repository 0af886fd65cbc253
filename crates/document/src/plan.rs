//! What a node runs: a document with the parameters of one run put in, for one platform.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use serde_json::{Map, Value};

use crate::Document;
use crate::action::{Action, Language};
use crate::flow::{self, Next, Outcome};
use crate::interpolate::{self, Budget, TooLong};
use crate::parameter::Parameters;
use crate::platform::Platform;
use crate::schema::{DocumentType, Schema};
use crate::script;
use crate::step::{FINALLY_STEP, ON_FAILURE, ON_SUCCESS, Part, Step, as_switch};
use crate::timeout::Timeout;

/// Why there is no plan at all; the run fails with this as its trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not a document that nodes run.
    #[error("a document of type {0} does not run on nodes")]
    NotForNodes(DocumentType),
    /// The parameters make the document too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// The steps of one run on one platform, and the environment their scripts get.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    steps: Vec<PlannedStep>,
    environment: Environment,
}

/// Environment variables; `Debug` shows the names only.
#[derive(Clone, Default, PartialEq)]
struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// One step of a run, and one result.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedStep {
    index: usize,
    name: String,
    action: &'static Action,
    verdict: Verdict,
    on_failure: OnFailure,
    exits_on_success: bool,
    is_finally: bool,
}

/// What is to be done about a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Run its parts in this order, also after a part failed; the step's outcome is [`Outcome::of_parts`].
    Run(Vec<PlannedPart>),
    /// Skip it, with this trace.
    Skip(String),
    /// Fail it without running it, with this trace.
    Fail(String),
}

/// What follows a failed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The next step.
    Continue,
    /// The end; the step counts as failed.
    Exit,
    /// The end; the step counts as succeeded.
    SuccessAndExit,
}

/// One execution of an action, with its inputs final but for parameter store references.
#[derive(Clone, PartialEq)]
pub struct PlannedPart {
    id: String,
    directory: String,
    language: Option<Language>,
    inputs: Map<String, Value>,
    timeout_seconds: u64,
    notes: Vec<String>,
}

impl fmt::Debug for PlannedPart {
    /// Inputs contain parameter values, so only their names are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedPart")
            .field("id", &self.id)
            .field("inputs", &self.inputs.keys().collect::<Vec<_>>())
            .field("timeout_seconds", &self.timeout_seconds)
            .finish_non_exhaustive()
    }
}

/// Makes the plan of a run.
///
/// Steps that cannot run here are in it too, with the verdict that says why.
///
/// # Errors
/// When the document is not for nodes, or becomes too long.
pub fn plan(document: &Document, parameters: &Parameters, platform: Platform) -> Result<Plan, PlanError> {
    let schema = match document.schema() {
        Some(schema) if !document.steps().is_empty() => schema,
        _ => return Err(PlanError::NotForNodes(document.document_type())),
    };
    let mut planner = Planner {
        schema,
        parameters,
        platform,
        budget: Budget::default(),
    };
    let steps = document.steps().iter().enumerate();
    let steps = steps
        .map(|(index, step)| planner.step(index, step))
        .collect::<Result<_, _>>()?;
    Ok(Plan {
        steps,
        environment: Environment(parameters.environment()),
    })
}

impl Plan {
    /// The steps in the document's order.
    #[must_use]
    pub fn steps(&self) -> &[PlannedStep] {
        &self.steps
    }

    /// The variables that every script of the run gets: `SSM_<name>` for each `ENV_VAR` parameter.
    #[must_use]
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment.0
    }

    /// What comes after the steps that ended so far; see [`flow::next`].
    #[must_use]
    pub fn next(&self, ended: &[(usize, Outcome)]) -> Next {
        flow::next(self, ended)
    }

    /// The parameter store references that must be resolved before anything runs, `ssm:name` or `ssm-secure:name`;
    /// `stored` resolves them.
    #[must_use]
    pub fn references(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        for value in self.environment.0.values() {
            found.extend(interpolate::references_in(value).map(str::to_owned));
        }
        for step in &self.steps {
            if let Verdict::Run(parts) = &step.verdict {
                for value in parts.iter().flat_map(|part| part.inputs.values()) {
                    found.extend(interpolate::references(value));
                }
            }
        }
        found.into_iter().collect()
    }
}

impl Plan {
    /// Makes other inputs of those that run.
    pub(crate) fn map_inputs<E>(&mut self, mut map: impl FnMut(&Value) -> Result<Value, E>) -> Result<(), E> {
        for step in &mut self.steps {
            if let Verdict::Run(parts) = &mut step.verdict {
                for value in parts.iter_mut().flat_map(|part| part.inputs.values_mut()) {
                    *value = map(value)?;
                }
            }
        }
        Ok(())
    }
}

impl PlannedStep {
    /// Its position in the document, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The key of its result: in 2.x its name, in 1.2 the action's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does.
    #[must_use]
    pub fn action(&self) -> &'static Action {
        self.action
    }

    /// Whether to run, skip or fail it.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// What follows when it fails.
    #[must_use]
    pub fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    /// Whether the document ends when it succeeds.
    #[must_use]
    pub fn exits_on_success(&self) -> bool {
        self.exits_on_success
    }

    /// Whether it runs even after the document was ended by another step.
    #[must_use]
    pub fn is_finally(&self) -> bool {
        self.is_finally
    }
}

impl PlannedPart {
    /// The step's name in 2.x, the property id in 1.2.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its files go below the run's directory: `awsrunShellScript/<step>`, or in 1.2 `awsrunShellScript/0.awsrunShellScript`
    /// (run-command.md 8.3). Two safe path segments, different for every part of a plan.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The inputs with the parameters put in.
    #[must_use]
    pub fn inputs(&self) -> &Map<String, Value> {
        &self.inputs
    }

    /// An input as text: numbers and booleans as written in JSON, nothing for lists, maps and what is absent.
    #[must_use]
    pub fn text(&self, input: &str) -> Option<String> {
        match self.inputs.get(input)? {
            Value::Array(_) | Value::Object(_) | Value::Null => None,
            scalar => Some(interpolate::as_text(scalar)),
        }
    }

    /// The script of `runCommand`: its lines joined, with a line end at the end. Nothing if there is no `runCommand`.
    #[must_use]
    pub fn script(&self) -> Option<String> {
        let mut script = match self.inputs.get("runCommand")? {
            Value::Array(lines) => lines.iter().map(interpolate::as_text).collect::<Vec<_>>().join("\n"),
            Value::Null => return None,
            one => interpolate::as_text(one),
        };
        if !script.ends_with('\n') {
            script.push('\n');
        }
        Some(script)
    }

    /// The language of [`PlannedPart::script`].
    #[must_use]
    pub fn language(&self) -> Option<Language> {
        self.language
    }

    /// How long it may run, between 5 and 172,800 seconds.
    #[must_use]
    pub fn timeout_seconds(&self) -> u64 {
        self.timeout_seconds
    }

    /// Lines for the trace.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

struct Planner<'a> {
    schema: Schema,
    parameters: &'a Parameters,
    platform: Platform,
    budget: Budget,
}

impl Planner<'_> {
    fn step(&mut self, index: usize, step: &Step) -> Result<PlannedStep, TooLong> {
        let mut planned = PlannedStep {
            index,
            name: step.name.clone(),
            action: step.action,
            verdict: Verdict::Run(Vec::new()),
            on_failure: OnFailure::Continue,
            exits_on_success: false,
            is_finally: false,
        };
        // The flow words are read even when the step will not run: a finally step stays one.
        if self.schema >= Schema::V2_0
            && let Err(trace) = self.flow(step, &mut planned)?
        {
            planned.verdict = Verdict::Fail(trace);
            return Ok(planned);
        }
        planned.verdict = match self.obstacle(step) {
            Some(verdict) => verdict,
            None => {
                let mut directories = HashSet::new();
                let parts = step.parts.iter().enumerate();
                let parts = parts.map(|(position, part)| {
                    let mut directory = directory(step.action, &part.id);
                    while !directories.insert(directory.clone()) {
                        directory = format!("{directory}.{position}");
                    }
                    self.part(step.action, part, directory)
                });
                Verdict::Run(parts.collect::<Result<_, _>>()?)
            }
        };
        Ok(planned)
    }

    /// Why a step does not run here.
    fn obstacle(&self, step: &Step) -> Option<Verdict> {
        match step
            .precondition
            .as_ref()
            .map(|condition| condition.holds(self.platform, self.parameters))
        {
            Some(Ok(false)) => return Some(Verdict::Skip("the precondition does not hold".to_owned())),
            Some(Err(error)) => return Some(Verdict::Fail(error.to_string())),
            Some(Ok(true)) | None => {}
        }
        if step.action.runs_on(self.platform) {
            return None;
        }
        let trace = format!("{} has no action {}", self.platform, step.action.name());
        Some(if self.schema == Schema::V2_2 {
            Verdict::Skip(trace)
        } else {
            Verdict::Fail(trace)
        })
    }

    fn flow(&mut self, step: &Step, planned: &mut PlannedStep) -> Result<Result<(), String>, TooLong> {
        let Some(part) = step.parts.first() else {
            return Ok(Ok(()));
        };
        if let Some(written) = part.inputs.get(FINALLY_STEP) {
            let value = interpolate::value(written, self.parameters, &mut self.budget)?;
            match as_switch(&value) {
                Some(switch) => planned.is_finally = switch,
                None => return Ok(Err("finallyStep is neither true nor false".to_owned())),
            }
        }
        for key in [ON_FAILURE, ON_SUCCESS] {
            let Some(written) = part.inputs.get(key) else { continue };
            let value = interpolate::value(written, self.parameters, &mut self.budget)?;
            match (key, value.as_str()) {
                // A parameter with nothing in it leaves the choice at its default.
                (_, Some("")) => {}
                (ON_FAILURE, Some("exit")) => planned.on_failure = OnFailure::Exit,
                (ON_FAILURE, Some("successAndExit")) => planned.on_failure = OnFailure::SuccessAndExit,
                (ON_SUCCESS, Some("exit")) => planned.exits_on_success = true,
                _ => return Ok(Err(format!("{key} has a value that is not known"))),
            }
        }
        Ok(Ok(()))
    }

    fn part(&mut self, action: &'static Action, part: &Part, directory: String) -> Result<PlannedPart, TooLong> {
        let mut inputs = Map::new();
        for (key, written) in &part.inputs {
            let value = match action.language() {
                Some(language) if key == "runCommand" => {
                    script::interpolate(written, language, self.parameters, &mut self.budget)?
                }
                _ => interpolate::value(written, self.parameters, &mut self.budget)?,
            };
            inputs.insert(key.clone(), value);
        }
        let timeout = part
            .timeout()
            .map(|written| interpolate::value(written, self.parameters, &mut self.budget));
        let timeout = Timeout::read(timeout.transpose()?.as_ref());
        let mut notes: Vec<String> = timeout.note.map(str::to_owned).into_iter().collect();
        if part.inputs.contains_key("interpolationType") {
            notes.push("interpolationType has no effect on inputs; it belongs to the parameter".to_owned());
        }
        Ok(PlannedPart {
            id: part.id.clone(),
            directory,
            language: action.language(),
            inputs,
            timeout_seconds: timeout.seconds,
            notes,
        })
    }
}

/// `<plugin>/<step>` without colons; whatever else a path could stumble over becomes `_`.
fn directory(action: &Action, id: &str) -> String {
    let safe = id.chars().filter(|c| *c != ':').map(|c| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') => c,
        _ => '_',
    });
    let mut segment: String = safe.take(128).collect();
    if segment.chars().all(|c| c == '.') {
        segment.push('_');
    }
    format!("{}/{segment}", action.directory())
}
