//! Composing messages for the client.
