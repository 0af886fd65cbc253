//! Compiles the contract: Rust types, clients and servers, the encoded descriptors, and what prost does not know of
//! (the words of enums, a `Debug` that keeps secrets).
//!
//! The descriptors are stored as encoded by the compiler: decoding them into `prost_types` would lose our options.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_reflect::{DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=muster");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut files = Vec::new();
    collect(Path::new("muster"), &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new(["."])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(&files)?;
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &encoded)?;

    let pool = DescriptorPool::decode(encoded.as_slice())?;
    let secretive: Vec<_> = pool
        .all_messages()
        .filter(|message| holds_secrets(&pool, message))
        .collect();

    // Types of `google.protobuf` are prost-types' own and are not generated.
    tonic_prost_build::configure()
        // Far larger than the news that come by the thousand.
        .boxed(".muster.runcommand.v1.OutputNews.news.command")
        .generate_default_stubs(true)
        .skip_debug(secretive.iter().map(|message| format!(".{}", message.full_name())))
        .compile_fds(compiler.file_descriptor_set())?;

    fs::write(out.join("words.rs"), words(&pool)?)?;
    fs::write(out.join("debug.rs"), debug(&pool, &secretive)?)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

/// An implementation of `Word` for every enum whose values carry the `word` option.
fn words(pool: &DescriptorPool) -> Result<String> {
    let mut code = String::new();
    for each in pool.all_enums() {
        let spelled = spelled(pool, &each);
        if spelled.is_empty() {
            continue;
        }
        let (mut list, mut to, mut from) = (String::new(), String::new(), String::new());
        for (number, text) in spelled {
            write!(list, "{text:?}, ")?;
            write!(to, "{number} => {text:?}, ")?;
            write!(from, "{text:?} => {number}, ")?;
        }
        writeln!(
            code,
            "impl crate::Word for {path} {{
                const WORDS: &'static [&'static str] = &[{list}];
                fn word(self) -> &'static str {{ match self as i32 {{ {to} _ => \"\" }} }}
                fn from_word(word: &str) -> Option<Self> {{
                    Self::try_from(match word {{ {from} _ => return None }}).ok()
                }}
            }}",
            path = rust_path(each.package_name(), each.name())
        )?;
    }
    Ok(code)
}

fn spelled(pool: &DescriptorPool, each: &EnumDescriptor) -> Vec<(i32, String)> {
    each.values()
        .filter_map(|value| {
            let facts = facts(pool, &value.options(), "word")?;
            let text = facts.get_field_by_name("text")?.as_str()?.to_owned();
            Some((value.number(), text))
        })
        .collect()
}

/// A `Debug` for the messages that hold secrets: it shows the other members and says that there are more.
fn debug(pool: &DescriptorPool, secretive: &[MessageDescriptor]) -> Result<String> {
    let mut code = String::new();
    for message in secretive {
        let name = message.name();
        let mut shown = String::new();
        for field in message.fields().filter(|field| !is_secret(pool, message, field)) {
            if field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) {
                return Err(format!(
                    "{} holds secrets and a oneof: teach `debug` to write it",
                    message.full_name()
                )
                .into());
            }
            let field = field.name();
            let member = if field == "type" { "r#type" } else { field };
            write!(shown, ".field({field:?}, &self.{member})")?;
        }
        writeln!(
            code,
            "impl std::fmt::Debug for {path} {{
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{
                    f.debug_struct({name:?}){shown}.finish_non_exhaustive()
                }}
            }}",
            path = rust_path(message.package_name(), name)
        )?;
    }
    Ok(code)
}

fn holds_secrets(pool: &DescriptorPool, message: &MessageDescriptor) -> bool {
    !message.is_map_entry() && message.fields().any(|field| is_secret(pool, message, &field))
}

fn is_secret(pool: &DescriptorPool, message: &MessageDescriptor, field: &FieldDescriptor) -> bool {
    let held = match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    };
    let of_field = facts(pool, &field.options(), "field");
    is_sensitive(facts(pool, &message.options(), "message"))
        || held
            .as_message()
            .is_some_and(|held| is_sensitive(facts(pool, &held.options(), "message")))
        || is_sensitive(
            of_field
                .as_ref()
                .and_then(|facts| facts.get_field_by_name("element")?.as_message().cloned()),
        )
        || is_sensitive(of_field)
}

fn is_sensitive(facts: Option<DynamicMessage>) -> bool {
    facts.is_some_and(|facts| facts.get_field_by_name("sensitive").and_then(|flag| flag.as_bool()) == Some(true))
}

/// The value of one of our options, if it is set.
fn facts(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let option = pool.get_extension_by_name(&format!("muster.aws.v1.{name}"))?;
    options
        .has_extension(&option)
        .then(|| options.get_extension(&option).as_message().cloned())?
}

/// `muster.aws.v1.Reason` is `crate::aws::v1::Reason`.
fn rust_path(package: &str, name: &str) -> String {
    let package = package.trim_start_matches("muster.").replace('.', "::");
    format!("crate::{package}::{name}")
}
