//! Annotations: what clients note of a mailbox or of the whole account (RFC 5464).

/// The annotation that is the mailbox's special use (RFC 6154 §4): reading and setting it is reading and setting that.
pub const SPECIAL_USE_ENTRY: &str = "/private/specialuse";

/// An annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its name, ASCII, as it was last set; case makes no difference.
    pub entry: String,
    /// Any octets.
    pub value: Vec<u8>,
}

/// What is to become of an annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotationChange {
    /// Its name.
    pub entry: String,
    /// `None`: it is removed.
    pub value: Option<Vec<u8>>,
}
