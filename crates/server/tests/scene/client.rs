//! A client of SMTP.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

/// A client that knows what it expects.
pub struct Client(pub BufReader<TcpStream>);

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(address).unwrap()));
        assert!(client.reply().starts_with("220 "));
        assert!(client.say("EHLO client.example").contains("250 HELP"));
        client
    }

    pub fn say(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.reply()
    }

    pub fn reply(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            all += &line;
            if line.len() < 4 || line.as_bytes()[3] == b' ' {
                return all.trim_end().to_owned();
            }
        }
    }

    /// Sends a message; returns the last reply.
    pub fn send(&mut self, from: &str, to: &[&str], message: &str) -> String {
        assert!(self.say(&format!("MAIL FROM:<{from}>")).starts_with("250 "));
        for to in to {
            let reply = self.say(&format!("RCPT TO:<{to}>"));
            assert!(reply.starts_with("250 "), "{reply}");
        }
        assert!(self.say("DATA").starts_with("354 "));
        self.say(&format!("{message}\r\n."))
    }
}
