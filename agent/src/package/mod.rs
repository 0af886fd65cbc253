//! Packages: what `aws:configurePackage` installs and what the agent updates itself with (docs/operate/packages.md).
//!
//! A package lies in a **store**, a directory on a web server or a file system:
//!
//! ```text
//! <store>/<name>/index.json               the versions there are, signed
//! <store>/<name>/<version>/manifest.json  which file is for which platform, with checksums, signed
//! <store>/<name>/<version>/<file>.zip     install.sh, uninstall.sh, update.sh and whatever they need
//! ```
//!
//! A signature covers a **statement**: a text that is made from what was read, so that it does not matter how the JSON was
//! written. A manifest may as well come as a document of the type Package; its statement is the same.
//! Nothing here reads the network; `runner::action` does.

mod archive;
mod build;
mod installed;
mod manifest;
mod signature;
mod version;

pub use archive::{ArchiveError, Limits, pack, unpack};
pub use build::{BuildError, Order, build};
pub use installed::{Installed, Phase, Shelf};
pub use manifest::{FileFacts, Index, Machine, Manifest, ManifestError, is_name};
pub use signature::{KeyError, PublicKey, Seal, SigningKey, Trust, Untrusted};
pub use version::compare;
