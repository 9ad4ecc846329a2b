//! Everything with a socket: listeners, TLS, HTTP, timers, and the pumps that drive the engines.
