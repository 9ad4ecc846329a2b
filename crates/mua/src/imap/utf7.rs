//! (placeholder until wire::imap has modified UTF-7)
pub(super) fn encode(name: &str) -> String {
    name.to_owned()
}
