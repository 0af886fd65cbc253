//! The AWS JSON codec and the limit checker against the whole contract.

mod codec;
mod documents;
mod error_bodies;
mod hostile_input;
mod limit_texts;
