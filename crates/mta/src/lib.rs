//! The path of a message: accept, queue, route, relay, deliver, bounce.
