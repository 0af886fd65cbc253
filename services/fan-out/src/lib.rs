//! The coordinator: the only part of Muster that sends work to nodes (DESIGN 4).

pub mod domain;
