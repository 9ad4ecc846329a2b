//! Annotations: what clients note of a mailbox or of the whole account (RFC 5464).

use std::sync::Arc;

use mail::ModSeq;

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

/// What one commit did to annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotationNews {
    /// Its place in the account's order of changes: who made the change knows his own by it.
    pub modseq: ModSeq,
    /// The mailbox by its name of then; `None`: the account's own.
    pub mailbox: Option<String>,
    /// Those that are new, changed or gone.
    pub entries: Vec<String>,
}

/// Where a session hears of changes, each commit by itself. It ends when more wait than `limits::ANNOTATION_NEWS`, so that
/// none is left out silently.
pub type AnnotationFeed = tokio::sync::mpsc::Receiver<Arc<AnnotationNews>>;
