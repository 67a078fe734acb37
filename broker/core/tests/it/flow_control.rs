//! Stories to be told.
