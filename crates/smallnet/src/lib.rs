//! The small internet of postrider local: DNS server, throw-away CA, misbehaving recipients.
