//! Stories of a reader, in stores that are made of the layout alone.

mod as_of;
mod changes;
mod filters;
mod graph;
mod graph_search;
mod hostile;
mod hostile_writer;
mod hot_path;
mod live;
mod names;
mod nearest;
mod open;
mod paths;
mod quick_check;
mod reads;
mod search;
mod support;
