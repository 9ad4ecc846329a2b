//! The engine of `wire::smtp::server` with `mta::accept` behind it: no socket, no wait; what the client sends is fed as it
//! comes, and every question is answered at once.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use server::Shared;
use server::listen::Service;
use server::smtp::{Clerk, Reception};
use testkit::transcript::{Enough, Received, Subject};
use tokio::runtime::Handle;
use wire::sasl::ChannelBinding;
use wire::smtp::server::{Server, Step, Transport};

/// A session in memory.
pub struct Engine {
    runtime: Handle,
    shared: Arc<Shared>,
    engine: Server,
    clerk: Clerk,
    input: Vec<u8>,
    said: Vec<u8>,
    handshake: bool,
    closed: bool,
}

impl Engine {
    pub fn new(runtime: &Handle, shared: &Arc<Shared>, reception: &Reception, door: (Service, IpAddr)) -> Self {
        let clerk = Clerk::new(reception, shared, door.0, door.1, None);
        let transport = Transport::Plain { starttls: shared.acceptor().is_some() };
        let engine = Server::new(Arc::new(clerk.config()), transport, shared.clock.now());
        let (runtime, shared, input, said) = (runtime.clone(), shared.clone(), Vec::new(), Vec::new());
        Self { runtime, shared, engine, clerk, input, said, handshake: false, closed: false }
    }

    /// Until it waits for input and there is none.
    fn go_on(&mut self) {
        while !self.closed {
            match self.engine.step() {
                Step::Ask(question) => {
                    let Ok(answer) = self.runtime.block_on(self.clerk.answer(question)) else {
                        self.closed = true;
                        break;
                    };
                    self.engine.answer(answer, self.shared.clock.now());
                }
                Step::Forget => self.clerk.forget(),
                Step::Close => self.closed = true,
                Step::StartTls => {
                    self.handshake = true;
                    break;
                }
                Step::Wait if self.input.is_empty() => break,
                Step::Wait => {
                    let taken = self.engine.input(&self.input, self.shared.clock.now());
                    assert!(
                        taken.used > 0 || !taken.body.is_empty(),
                        "input is taken while nothing else is to be done"
                    );
                    let written = self.runtime.block_on(self.clerk.write(taken.body));
                    let used = taken.used;
                    if let Err(reply) = written {
                        self.engine.refuse_body(reply);
                    }
                    self.input.drain(..used);
                }
            }
        }
        self.said.extend(self.engine.output());
    }
}

impl Subject for Engine {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.input.extend_from_slice(bytes);
        self.go_on();
        Ok(())
    }

    fn receive(&mut self, _enough: &mut dyn FnMut(&[u8]) -> Enough) -> io::Result<Received> {
        self.go_on();
        Ok(Received { bytes: std::mem::take(&mut self.said), closed: self.closed })
    }

    fn start_tls(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.handshake) {
            return Err(io::Error::other("the engine does not begin TLS"));
        }
        // RFC 3207 §4.2: what came in the clear behind STARTTLS is dropped, here as in the pump.
        self.input.clear();
        let tls = store::Tls { version: "TLSv1.3".into(), cipher: "none".into(), verified: None, policy: None };
        self.clerk.secured(Some(tls));
        let binding = ChannelBinding { tls_exporter: Some(vec![1; 32]), tls_server_end_point: None };
        self.engine.tls_began(binding, self.shared.clock.now());
        Ok(())
    }

    fn close(&mut self) {
        self.engine.eof();
        self.go_on();
    }
}
