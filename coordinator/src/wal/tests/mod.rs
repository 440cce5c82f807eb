//! Stories about the log. Each file is one theme; `support` speaks for all of them.

mod archive;
mod cut;
mod damage;
mod failure;
mod flip;
mod follow;
mod power;
mod random;
mod round_trip;
mod space;
mod support;
