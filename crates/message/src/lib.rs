//! RFC 5322 messages and MIME as a mail server needs them.
