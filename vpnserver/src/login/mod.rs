//! Login as a pipeline: who are you, second factor, may you.
