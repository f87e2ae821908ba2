//! What crosses between the programs, and nothing else.
