//! Writes the seeds of a target into a folder: `seeds <target> <folder>`.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let target = muster_fuzz::target(&name).ok_or("the first argument names no target")?;
    let folder = PathBuf::from(arguments.next().ok_or("the second argument, a folder, is missing")?);
    std::fs::create_dir_all(&folder)?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number:03}")), seed)?;
    }
    Ok(())
}
