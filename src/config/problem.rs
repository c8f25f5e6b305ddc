use super::place::Place;

/// What is wrong with a file, or with what it asks of its surroundings.
pub(super) struct Problem {
    pub place: Place,
    /// With the place.
    pub message: String,
    pub cause: Cause,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Mistake,
    /// A value that stands outside of the file cannot be had by this process.
    Absent,
    /// It may only follow from an absent value.
    Unclear,
}

impl Problem {
    pub fn is_mistake(&self) -> bool {
        self.cause == Cause::Mistake
    }
}
