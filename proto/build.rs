//! Compiles the contract: Rust types, clients and servers, the encoded descriptors, and the words of the enums.
//!
//! The descriptors are stored as encoded by the compiler: decoding them into `prost_types` would lose our options.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_reflect::{DescriptorPool, EnumDescriptor, EnumValueDescriptor, ReflectMessage as _};

const WORD_OPTION: &str = "muster.aws.v1.word";

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=muster");

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

    // Types of `google.protobuf` are prost-types' own and are not generated.
    tonic_prost_build::configure()
        .generate_default_stubs(true)
        .compile_fds(compiler.file_descriptor_set())?;

    let pool = DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("words.rs"), words(&pool)?)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
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
fn words(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut code = String::new();
    for each in pool.all_enums() {
        let mut spelled = Vec::new();
        for value in each.values() {
            if let Some(text) = word(pool, &value)? {
                spelled.push((value.number(), text));
            }
        }
        if spelled.is_empty() {
            continue;
        }
        let list: Vec<String> = spelled.iter().map(|(_, text)| format!("{text:?}")).collect();
        writeln!(code, "impl crate::Word for {} {{", rust_path(&each))?;
        writeln!(
            code,
            "    const WORDS: &'static [&'static str] = &[{}];",
            list.join(", ")
        )?;
        writeln!(
            code,
            "    fn word(self) -> &'static str {{\n        match self as i32 {{"
        )?;
        for (number, text) in &spelled {
            writeln!(code, "            {number} => {text:?},")?;
        }
        writeln!(code, "            _ => \"\",\n        }}\n    }}")?;
        writeln!(
            code,
            "    fn from_word(word: &str) -> Option<Self> {{\n        let number = match word {{"
        )?;
        for (number, text) in &spelled {
            writeln!(code, "            {text:?} => {number},")?;
        }
        writeln!(
            code,
            "            _ => return None,\n        }};\n        Self::try_from(number).ok()\n    }}\n}}"
        )?;
    }
    Ok(code)
}

fn word(pool: &DescriptorPool, value: &EnumValueDescriptor) -> Result<Option<String>, Box<dyn Error>> {
    let option = pool
        .get_extension_by_name(WORD_OPTION)
        .ok_or("the contract has no `word` option")?;
    let options = value.options();
    if !options.has_extension(&option) {
        return Ok(None);
    }
    let facts = options.get_extension(&option);
    let facts = facts.as_message().ok_or("`word` is a message")?;
    debug_assert_eq!(facts.descriptor().full_name(), "muster.aws.v1.WordFacts");
    let text = facts
        .get_field_by_name("text")
        .and_then(|text| text.as_str().map(str::to_owned));
    text.map(Some).ok_or_else(|| "`text` is a string".into())
}

/// `muster.aws.v1.Reason` is `crate::aws::v1::Reason`.
fn rust_path(each: &EnumDescriptor) -> String {
    let package = each.package_name().trim_start_matches("muster.").replace('.', "::");
    format!("crate::{package}::{}", each.name())
}
