//! How long a filter is waited for, in time that passes by itself.

use std::time::Duration;

use mail::{Timestamp, limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Mutex;
use wire::milter::{Command, Negotiation, Response, packet, steps};

use super::conversation::{Conversation, Lost, Verdict};
use super::*;

struct Paused;

#[async_trait]
impl Clock for Paused {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(0)
    }

    async fn sleep(&self, how_long: Duration) {
        tokio::time::sleep(how_long).await;
    }
}

struct Here(Mutex<Option<DuplexStream>>);

#[async_trait]
impl Dial for Here {
    async fn dial(&self, _: &Place) -> io::Result<Box<dyn Stream>> {
        let stream = self.0.lock().await.take().ok_or(io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(stream))
    }
}

/// A filter that answers each packet after so long.
async fn filter(mut stream: DuplexStream, after: Duration) {
    let (mut input, mut out, mut first) = (Vec::new(), Vec::new(), true);
    while stream.read_buf(&mut input).await.is_ok_and(|count| count > 0) {
        while let Some((_, used)) = packet(&input).unwrap() {
            input.drain(..used);
            if std::mem::take(&mut first) {
                Response::Negotiate(Negotiation { steps: steps::SKIP, ..Negotiation::OURS }).write(&mut out);
            } else {
                tokio::time::sleep(after).await;
                Response::Continue.write(&mut out);
            }
            let _ = stream.write_all(&std::mem::take(&mut out)).await;
        }
    }
}

async fn ask(after: Duration, at_work: bool) -> Result<Verdict, Lost> {
    let (ours, theirs) = tokio::io::duplex(4096);
    tokio::spawn(filter(theirs, after));
    let milter = Milter {
        name: "slow".into(),
        place: Place::Unix("/nowhere".into()),
        on: vec![Door::Smtp],
        timeout: limits::MILTER_TIMEOUT,
        when_down: WhenDown::TempFail,
    };
    let clock: Arc<dyn Clock> = Arc::new(Paused);
    let mut conversation = Conversation::open(&milter, &Here(Mutex::new(Some(ours))), &clock).await?;
    if !at_work {
        return conversation.tell(&Command::Data, 0, 0).await;
    }
    conversation.say(&Command::Data).await?;
    let packet = conversation.hear(conversation.patience(true)).await?;
    conversation::verdict(&Response::read(&packet)?)
}

/// `MILTER_TIMEOUT`, and `MILTER_PROGRESS_TIMEOUT` where the filter says that it is at work: a little less, and a little more.
#[tokio::test(start_paused = true)]
async fn a_filter_is_waited_for() {
    let little = Duration::from_millis(1);
    for (at_work, longest) in [(false, limits::MILTER_TIMEOUT), (true, limits::MILTER_PROGRESS_TIMEOUT)] {
        assert!(matches!(ask(longest.checked_sub(little).unwrap(), at_work).await, Ok(Verdict::Continue)));
        let lost = ask(longest + little, at_work).await.unwrap_err();
        assert_eq!(lost.0, format!("it does not answer in {} s", longest.as_secs()));
    }
}
