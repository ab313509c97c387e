"""A model of the store, and the moves that try it, in any order that Hypothesis makes up."""
