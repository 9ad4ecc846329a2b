//! A mail client for the terminal: SMTP, POP3 and IMAP from the other side.
