//! The client against a coordinator that follows a script.

mod fake;
mod greeting;
mod overload;
mod pipeline;
mod questions;
mod reconnect;
