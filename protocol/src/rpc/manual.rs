//! What there is to say about messages, read off their definitions: for the manual page of the JSON interface.

/// A field of a message as JSON has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name. The ending says what it holds; a [`Form::Rows`] has none.
    pub name: String,
    /// How it stands there.
    pub form: Form,
    /// What its definition says about it, which may be nothing.
    pub note: &'static str,
}

/// How a field stands in a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// One value.
    One,
    /// One value, or left out.
    Optional,
    /// An array of values.
    List,
    /// An array of objects with these fields.
    Rows(Vec<Member>),
}
