//! The next generation of a store: another `storage.dat`, made from a version of this one.
//!
//! A file only grows, so what is dead in it stays. A new one is made as a replica would be made:
//! from truth alone, record by record, with ordinals given anew and log entries' numbers kept. What
//! is derived is built from that, and the log's tail applied to it like anywhere else. Only then
//! does it take the place of the old one.
//!
//! | room | what |
//! |---|---|
//! | [`plan`] | what is left out |
//! | [`build`] | truth copied, what is derived made anew |
//! | [`dead`] | how much that would give back |
//! | [`find`] | what has to be forgotten before it can be left out |
//! | [`online`] | how all that happens beside a coordinator that goes on |

mod build;
mod dead;
mod find;
mod online;
pub mod plan;
#[cfg(test)]
mod tests;

pub use build::build;
pub use dead::dead_size;
pub use find::{Before, Doomed, Named, Request};
pub use online::{Compactor, Event, Next, Order, Start, Task};
