//! An authoritative DNS server for zones in memory, on UDP and TCP.
//!
//! Does: answers for all zones that it was given and says NXDOMAIN for the rest of the world, so that a stub
//! resolver can use it as its only server; follows a [`Script`] of faults. Does not: recursion to other
//! servers, DNSSEC, transfers, updates. Questions come in on the socket, [`Zones`] from the
//! program or a test, which may change them while it runs.

mod script;
mod zones;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use script::{Script, Step};
pub use zones::{Answer, Zones, name};

/// Octets of a UDP answer for who says nothing of EDNS (RFC 1035 §4.2.1).
const PLAIN_UDP: usize = 512;
/// Octets of a UDP answer that we send at most, whatever the client takes: no fragments (RFC 9715 §3).
const EDNS_UDP: u16 = 1232;
/// TCP connections at once, and UDP questions under way: more wait.
const AT_ONCE: usize = 256;
/// An idle TCP connection ends after this (RFC 7766 §6.2.3 says a few seconds).
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Tries to find a port that is free on both UDP and TCP, where any will do.
const PORT_TRIES: usize = 20;
/// Questions kept for tests to look at.
const QUESTIONS_KEPT: usize = 1000;

#[derive(Debug)]
struct Shared {
    zones: Mutex<Zones>,
    script: Mutex<Script>,
    questions: Mutex<Vec<(String, RecordType)>>,
    at_once: Semaphore,
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere leaves these values whole: each is changed in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DnsServer {
    /// Listens on UDP and TCP. Port 0 takes one that is free for both. Fails where the port is taken.
    pub async fn start(listen: SocketAddr, zones: Zones) -> io::Result<Self> {
        let (tcp, udp) = bind(listen).await?;
        let address = tcp.local_addr()?;
        let shared = Arc::new(Shared {
            zones: Mutex::new(zones),
            script: Mutex::default(),
            questions: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, shared.clone()));
        tasks.spawn(serve_tcp(tcp, shared.clone()));
        Ok(Self { address, shared, tasks })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts other zones in the place of the present ones.
    pub fn set_zones(&self, zones: Zones) {
        *lock(&self.shared.zones) = zones;
    }

    /// Changes the script of faults.
    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut lock(&self.shared.script));
    }

    /// The questions so far: name without its final dot, in lower case, and type.
    pub fn questions(&self) -> Vec<(String, RecordType)> {
        lock(&self.shared.questions).clone()
    }

    /// Stops and waits until the port is free again.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn bind(listen: SocketAddr) -> io::Result<(TcpListener, Arc<UdpSocket>)> {
    let mut tries = PORT_TRIES;
    loop {
        let tcp = TcpListener::bind(listen).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, Arc::new(udp))),
            Err(_) if listen.port() == 0 && tries > 0 => tries -= 1,
            Err(error) => return Err(error),
        }
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut under_way = JoinSet::new();
    let mut buffer = [0; 4096];
    loop {
        // An error here is that of an earlier answer (ICMP port unreachable): nothing to do about it.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let question = buffer[..length].to_vec();
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= AT_ONCE {
            // As a real server under load: the client asks again.
            continue;
        }
        let (socket, shared) = (socket.clone(), shared.clone());
        under_way.spawn(async move {
            if let Some(answer) = answer(&question, &shared, Transport::Udp).await {
                let _ = socket.send_to(&answer, client).await;
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let shared = shared.clone();
        connections.spawn(async move {
            let Ok(_permit) = shared.at_once.acquire().await else { return };
            let _ = serve_connection(stream, &shared).await;
        });
    }
}

/// One TCP connection: each message behind its length in two octets (RFC 1035 §4.2.2), one after the other.
async fn serve_connection(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        let question = tokio::time::timeout(TCP_IDLE, async {
            let length = stream.read_u16().await?;
            let mut question = vec![0; usize::from(length)];
            stream.read_exact(&mut question).await?;
            io::Result::Ok(question)
        })
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
        if let Some(answer) = answer(&question, shared, Transport::Tcp).await {
            let length = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
            stream.write_all(&length.to_be_bytes()).await?;
            stream.write_all(&answer).await?;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

/// The answer's bytes; `None`: silence.
async fn answer(question: &[u8], shared: &Shared, transport: Transport) -> Option<Vec<u8>> {
    let Ok(request) = Message::from_vec(question) else {
        // RFC 1035 §4.1.1: FORMERR, if there is at least an id to answer to, and it is a question (never answer an answer).
        let (&[high, low], flags) = (question.first_chunk::<2>()?, question.get(2)?);
        let reply = Message::error_msg(u16::from_be_bytes([high, low]), OpCode::Query, ResponseCode::FormErr);
        return (flags & 0x80 == 0).then(|| reply.to_vec().ok()).flatten();
    };
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
    reply.metadata = Metadata::response_from_request(&request.metadata);
    // A resolver's stub asks with RD and gives up where RA lacks. All that there is to know is known here.
    reply.metadata.recursion_available = true;
    reply.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        // RFC 6891 §7: an OPT in the question requires one in the answer.
        let mut edns = Edns::new();
        edns.set_max_payload(EDNS_UDP).set_version(0);
        reply.set_edns(edns);
    }
    if !fill(&mut reply, &request, shared, transport).await {
        return None;
    }
    let bytes = reply.to_vec().ok()?;
    let room =
        request.edns.as_ref().map_or(PLAIN_UDP, |edns| usize::from(edns.max_payload().min(EDNS_UDP)).max(PLAIN_UDP));
    if transport == Transport::Udp && bytes.len() > room {
        // RFC 2181 §9: TC, and the client asks again on TCP.
        return reply.truncate().to_vec().ok();
    }
    Some(bytes)
}

/// Puts what is to be said into the reply; false: nothing is said.
async fn fill(reply: &mut Message, request: &Message, shared: &Shared, transport: Transport) -> bool {
    let [query] = request.queries.as_slice() else {
        reply.metadata.response_code = ResponseCode::FormErr;
        return true;
    };
    if request.metadata.op_code != OpCode::Query {
        reply.metadata.response_code = ResponseCode::NotImp;
        return true;
    }
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        // RFC 6891 §6.1.3.
        reply.metadata.response_code = ResponseCode::BADVERS;
        return true;
    }
    if !matches!(query.query_class(), DNSClass::IN | DNSClass::ANY) {
        reply.metadata.response_code = ResponseCode::Refused;
        return true;
    }
    let (owner, wanted) = (query.name(), query.query_type());
    note(shared, owner, wanted);
    let step = lock(&shared.script).take(owner, wanted);
    tracing::debug!(name = %owner, kind = %wanted, ?step, "dns question");
    match step {
        Step::Silence => return false,
        Step::ServFail => reply.metadata.response_code = ResponseCode::ServFail,
        Step::Refused => reply.metadata.response_code = ResponseCode::Refused,
        Step::Truncated if transport == Transport::Udp => reply.metadata.truncation = true,
        Step::Slow(time) => {
            tokio::time::sleep(time).await;
            answer_from_zones(reply, shared, owner, wanted);
        }
        Step::Normal | Step::Truncated => answer_from_zones(reply, shared, owner, wanted),
        Step::NxDomain => {
            // What does not exist anywhere: the root's SOA goes with it.
            let nothing = Zones::new().look_up(owner, wanted);
            put(reply, nothing);
        }
        Step::Records(records) => {
            reply.metadata.authoritative = true;
            if records.is_empty() {
                reply.add_authorities(Zones::new().look_up(owner, wanted).authority);
            }
            // Not to be cached: the next question may meet another step.
            reply.add_answers(records.into_iter().map(|data| Record::from_rdata(owner.clone(), 0, data)));
        }
    }
    true
}

fn answer_from_zones(reply: &mut Message, shared: &Shared, owner: &Name, wanted: RecordType) {
    let found = lock(&shared.zones).look_up(owner, wanted);
    put(reply, found);
}

fn put(reply: &mut Message, found: Answer) {
    reply.metadata.authoritative = true;
    reply.metadata.response_code = found.code;
    reply.add_answers(found.answers);
    reply.add_authorities(found.authority);
}

fn note(shared: &Shared, owner: &Name, wanted: RecordType) {
    let mut questions = lock(&shared.questions);
    if questions.len() < QUESTIONS_KEPT {
        let owner = owner.to_lowercase().to_ascii();
        questions.push((owner.trim_end_matches('.').to_owned(), wanted));
    }
}
