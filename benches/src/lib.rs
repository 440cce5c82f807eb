//! Figures that anyone can reproduce, with peers beside us.
