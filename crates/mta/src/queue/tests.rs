//! The scheduler in virtual time: weeks in seconds, from a seed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::*;
use crate::world::Random;

/// A sequence from a seed.
struct Seed(std::sync::atomic::AtomicU64);

impl Random for Seed {
    fn next(&self) -> u64 {
        let mut x = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, std::sync::atomic::Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }
}

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

fn item(id: u64, recipient: u32, destination: &str, next: Timestamp) -> QueueItem {
    QueueItem {
        id: QueueId::from_u64(id),
        recipient,
        destination: Domain::from_ascii(destination).unwrap(),
        next_attempt: next,
        attempts: 0,
        state: QueueState::Waiting,
    }
}

/// One recipient as the simulation knows it.
struct Mail {
    received: Timestamp,
    attempts: u32,
    destination: usize,
    /// Not to be tried before.
    next: Timestamp,
}

/// Days of mail for destinations that are up, dead, or up half of the time. Everything ends exactly once, nothing
/// is claimed twice at a time or before its time, no bound is passed, what goes to a good destination goes at once, and
/// retries keep to the schedule. At every moment what came is what ended and what is queued.
fn days_of_mail(seed: u64, days: u64) {
    let random = Seed(seed.into());
    let schedule = Schedule { connections: 40, per_destination: 5, ..Schedule::default() };
    let mut scheduler = Scheduler::new(schedule);
    let mut mails: HashMap<Key, Mail> = HashMap::new();
    // Tries under way by when they end, each with what its worker has claimed besides.
    let mut under_way: UnderWay = BTreeMap::new();
    let mut claimed: BTreeSet<Key> = BTreeSet::new();
    let (mut now, mut next_id, mut tries, mut ended) = (START, 1u64, 0u64, 0u64);
    let mut came = 0u64;
    let end = START.plus(Duration::from_secs(days * 86_400));
    let mut arrival = START;
    let mut connections = 0u64;
    loop {
        while arrival <= now && arrival < end {
            let destination = random.below(12) as usize;
            for recipient in 0..1 + random.below(3) as u32 {
                let name = format!("d{destination}.example");
                scheduler.changed(item(next_id, recipient, &name, arrival), now);
                let mail = Mail { received: arrival, attempts: 0, destination, next: arrival };
                came += 1;
                mails.insert((QueueId::from_u64(next_id), recipient), mail);
            }
            next_id += 1;
            arrival = arrival.plus(Duration::from_secs(20 + random.below(400)));
        }
        scheduler.tick(now);
        while let Some(job) = scheduler.start(now) {
            let jobs = scheduler.and_more(job, now);
            in_time(&mails, &jobs, now);
            begin(&mut under_way, &mut claimed, jobs, now, &random, &mut tries);
        }
        assert!(scheduler.workers() <= schedule.connections);
        while let Some((key, (job, mut rest))) = under_way.first_key_value().map(|(key, jobs)| (*key, jobs.clone())) {
            if key.0 > now {
                break;
            }
            under_way.remove(&key);
            for n in &job.recipients {
                assert!(claimed.remove(&(job.id, *n)));
            }
            let destination = mails[&(job.id, job.recipients[0])].destination;
            // Under 6: up. Under 9: up in even hours. Else dead.
            let up = destination < 6 || (destination < 9 && (now.secs() / 3600) % 2 == 0);
            let mut results = Vec::new();
            for n in &job.recipients {
                let key = (job.id, *n);
                let mail = mails.get_mut(&key).unwrap();
                mail.attempts += 1;
                let taken = up && job.down.is_none() && random.below(20) != 0;
                if taken && destination < 6 && mail.attempts == 1 {
                    assert!(now.since(mail.received) < Duration::from_secs(600), "fresh mail waited");
                }
                if taken || schedule.is_expired(mail.received, now) {
                    assert!(taken || destination >= 6, "expired though its destination is up");
                    mails.remove(&key);
                    ended += 1;
                    results.push((*n, Settled::Gone));
                } else {
                    let mut next = schedule.next_attempt(mail.attempts, mail.received, now, &random);
                    let (pause, last) = (schedule.pause(mail.attempts), mail.received.plus(schedule.lifetime));
                    assert!(
                        next == last || (now.plus(pause)..=now.plus(pause + pause / 4)).contains(&next),
                        "{next:?}"
                    );
                    if let Some((until, _)) = &job.down {
                        next = next.max(*until);
                    }
                    mail.next = next;
                    results.push((*n, Settled::Later(next)));
                }
            }
            if job.down.is_none() {
                connections += 1;
                if up {
                    scheduler.answered(&job);
                } else {
                    scheduler.failed(&job, "refused", now);
                }
            }
            // The store may tell of it before or after the worker does.
            let early = random.below(2) == 0;
            let news = |scheduler: &mut Scheduler| {
                for (n, result) in &results {
                    let news = match result {
                        Settled::Gone => QueueNews::Gone(job.id, *n),
                        Settled::Later(next) => {
                            let name = format!("d{destination}.example");
                            QueueNews::Changed(QueueItem { attempts: 1, ..item(job.id.as_u64(), *n, &name, *next) })
                        }
                    };
                    scheduler.news(news, now);
                }
            };
            if early {
                news(&mut scheduler);
            }
            scheduler.settled(&job, &results, now);
            if !early {
                news(&mut scheduler);
            }
            if !up && job.down.is_none() {
                // Who finds nobody there gives back what else it has claimed.
                for other in rest.drain(..) {
                    other.recipients.iter().for_each(|n| assert!(claimed.remove(&(other.id, *n))));
                    scheduler.give_back(&other);
                }
            }
            if !rest.is_empty() {
                again(&mut under_way, rest, now, &random, &mut tries);
                continue;
            }
            let next = scheduler.next_for(&job, now);
            if next.is_empty() {
                scheduler.leave(&job);
            } else {
                in_time(&mails, &next, now);
                begin(&mut under_way, &mut claimed, next, now, &random, &mut tries);
            }
        }
        assert_eq!(scheduler.len(), mails.len());
        assert_eq!(came, ended + mails.len() as u64, "conservation");
        let next_end = under_way.first_key_value().map(|((at, _), _)| *at);
        let next_arrival = (arrival < end).then_some(arrival);
        let due = scheduler.deadline().map(|at| at.max(now.plus(Duration::from_millis(1))));
        let Some(next) = [next_end, next_arrival, due].into_iter().flatten().min() else { break };
        now = next.max(now);
        assert!(now < end.plus(Duration::from_secs(6 * 86_400)), "something is left for ever");
    }
    assert!(mails.is_empty(), "{} are left", mails.len());
    assert_eq!((scheduler.len(), scheduler.workers()), (0, 0));
    assert!(scheduler.names.is_empty(), "forgotten destinations cost no memory");
    assert!(connections < tries, "a dead destination costs fewer connections than tries: {connections} of {tries}");
    assert!(ended > 2_000);
}

/// Nothing is tried before its time.
fn in_time(mails: &HashMap<Key, Mail>, jobs: &[Job], now: Timestamp) {
    let keys = jobs.iter().flat_map(|job| job.recipients.iter().map(|n| (job.id, *n)));
    keys.for_each(|key| assert!(mails[&key].next <= now, "too early"));
}

type UnderWay = BTreeMap<(Timestamp, u64), (Job, Vec<Job>)>;

fn begin(
    under_way: &mut UnderWay,
    claimed: &mut BTreeSet<Key>,
    jobs: Vec<Job>,
    now: Timestamp,
    random: &Seed,
    tries: &mut u64,
) {
    for job in &jobs {
        for n in &job.recipients {
            assert!(claimed.insert((job.id, *n)), "claimed twice");
        }
    }
    again(under_way, jobs, now, random, tries);
}

/// A worker goes on with the first of what it has claimed.
fn again(under_way: &mut UnderWay, mut jobs: Vec<Job>, now: Timestamp, random: &Seed, tries: &mut u64) {
    *tries += 1;
    let job = jobs.remove(0);
    under_way.insert((now.plus(Duration::from_millis(50 + random.below(30_000))), *tries), (job, jobs));
}

#[test]
fn weeks_of_mail_end_well() {
    for seed in 1..6 {
        days_of_mail(seed, 7);
    }
}

#[test]
fn a_month_of_mail_ends_well() {
    days_of_mail(6, 31);
}

#[test]
fn a_paused_destination_has_no_turn() {
    let mut scheduler = Scheduler::new(Schedule::default());
    let blue = Domain::from_ascii("blue.example").unwrap();
    scheduler.pause(blue.clone());
    scheduler.changed(item(1, 0, "blue.example", START), START);
    scheduler.changed(item(2, 0, "green.example", START), START);
    assert_eq!(scheduler.start(START).unwrap().id.as_u64(), 2);
    assert!(scheduler.start(START).is_none());
    scheduler.tick(START.plus(Duration::from_secs(86_400)));
    assert!(scheduler.start(START).is_none());
    let seen = scheduler.destinations(None, 9);
    assert_eq!(seen.iter().map(|one| (one.due, one.connections)).collect::<Vec<_>>(), [(1, 0), (0, 1)]);
    assert_eq!(scheduler.destinations(Some(&blue), 9).len(), 1);
    // What is under way when the pause begins ends; its worker goes on with nothing.
    scheduler.news(QueueNews::Resumed(blue.clone()), START);
    let job = scheduler.start(START).unwrap();
    scheduler.changed(item(3, 0, "blue.example", START), START);
    scheduler.news(QueueNews::Paused(blue), START);
    scheduler.settled(&job, &[(0, Settled::Gone)], START);
    assert!(scheduler.next_for(&job, START).is_empty());
}

#[test]
fn recipients_of_one_message_go_together_and_fresh_mail_first() {
    let mut scheduler = Scheduler::new(Schedule::default());
    let old = QueueItem { attempts: 3, ..item(1, 0, "blue.example", START) };
    scheduler.changed(old, START);
    for n in 0..250 {
        scheduler.changed(item(2, n, "blue.example", START), START);
    }
    let first = scheduler.start(START).unwrap();
    assert_eq!((first.id.as_u64(), first.recipients.len()), (2, limits::RELAY_RECIPIENTS));
    let second = scheduler.start(START).unwrap();
    assert_eq!((second.id.as_u64(), second.recipients[0]), (2, 100));
    // Not proven: two connections are enough.
    assert!(scheduler.start(START).is_none());
    scheduler.answered(&first);
    assert!(scheduler.start(START).is_some());
    assert_eq!(scheduler.start(START).unwrap().id.as_u64(), 1);
}

#[test]
fn an_idle_worker_gets_the_job_and_one_that_left_does_not() {
    let mut scheduler = Scheduler::new(Schedule::default());
    scheduler.changed(item(1, 0, "blue.example", START), START);
    let first = scheduler.start(START).unwrap();
    scheduler.settled(&first, &[(0, Settled::Gone)], START);
    assert!(scheduler.next_for(&first, START).is_empty());
    let mut waiting = scheduler.idle(&first);
    scheduler.changed(item(2, 0, "blue.example", START), START);
    assert!(scheduler.start(START).is_none());
    let second = waiting.try_recv().unwrap();
    assert_eq!(second.id.as_u64(), 2);
    scheduler.settled(&second, &[(0, Settled::Gone)], START);
    let mut tired = scheduler.idle(&second);
    tired.close();
    scheduler.changed(item(3, 0, "blue.example", START), START);
    assert_eq!(scheduler.start(START).unwrap().id.as_u64(), 3);
}

#[test]
fn held_mail_waits_and_an_operator_may_hurry() {
    let mut scheduler = Scheduler::new(Schedule::default());
    let held = QueueItem { state: QueueState::Held, ..item(1, 0, "blue.example", START) };
    scheduler.changed(held.clone(), START);
    assert!(scheduler.start(START).is_none());
    scheduler.changed(QueueItem { state: QueueState::Waiting, ..held }, START);
    let job = scheduler.start(START).unwrap();
    scheduler.failed(&job, "refused", START);
    let later = START.plus(Duration::from_secs(300));
    scheduler.settled(&job, &[(0, Settled::Later(later))], START);
    scheduler.leave(&job);
    assert!(scheduler.start(START).is_none());
    // The store tells that it is due now: tried for real, though the destination is down.
    scheduler.changed(QueueItem { attempts: 1, ..item(1, 0, "blue.example", START) }, START);
    assert_eq!(scheduler.start(START).unwrap().down, None);
}

#[test]
fn a_large_queue_starts_no_more_than_it_may() {
    let mut scheduler = Scheduler::new(Schedule::default());
    for n in 0..100_000u64 {
        scheduler.changed(item(n, 0, &format!("d{}.example", n % 1000), START), START);
    }
    assert_eq!(scheduler.len(), 100_000);
    let mut started = 0;
    while scheduler.start(START).is_some() {
        started += 1;
    }
    assert_eq!(started, limits::RELAY_CONNECTIONS / 2, "of nobody is known whether it answers");
}

/// How a destination of the simulation below behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Takes,
    Refuses,
    /// Takes no connection and refuses none.
    BlackHole,
}

/// What happens next to a worker: its try has become slow, or has ended.
#[derive(Clone, Copy)]
enum Turn {
    Slow,
    End,
}

/// 100 messages for each destination, all due: how long until the living have theirs, by the clock of the simulation.
fn time_for_the_living(manners: &[Manner]) -> Duration {
    let schedule = Schedule::default();
    let mut scheduler = Scheduler::new(schedule);
    let mut left = vec![100u32; manners.len()];
    for n in 0..100 * manners.len() as u64 {
        scheduler.changed(item(n, 0, &format!("d{}.example", n as usize % manners.len()), START), START);
    }
    let of = |job: &Job| (job.id.as_u64() as usize) % manners.len();
    let takes = |job: &Job| match (&job.down, manners[of(job)]) {
        (Some(_), _) | (None, Manner::Refuses) => Duration::from_millis(5),
        (None, Manner::Takes) => Duration::from_millis(20),
        (None, Manner::BlackHole) => limits::SMTP_CONNECT_WAIT,
    };
    let mut workers: Vec<(Job, Vec<Job>, bool)> = Vec::new();
    let mut turns: BTreeMap<(Timestamp, usize), Turn> = BTreeMap::new();
    let mut now = START;
    loop {
        scheduler.tick(now);
        while let Some(job) = scheduler.start(now) {
            let mut jobs = scheduler.and_more(job, now);
            let job = jobs.remove(0);
            let time = takes(&job);
            let slow = time > limits::RELAY_SLOW_AFTER;
            let at = now.plus(if slow { limits::RELAY_SLOW_AFTER } else { time });
            turns.insert((at, workers.len()), if slow { Turn::Slow } else { Turn::End });
            workers.push((job, jobs, false));
        }
        assert!(scheduler.workers() <= schedule.connections + limits::RELAY_SLOW);
        if (0..manners.len()).all(|n| manners[n] != Manner::Takes || left[n] == 0) {
            return now.since(START);
        }
        let ((at, number), turn) = turns.pop_first().expect("the living still wait");
        now = at;
        let (job, mut rest, slow) = workers[number].clone();
        if let Turn::Slow = turn {
            workers[number].2 = scheduler.slow(&job);
            turns.insert((at.plus(takes(&job) - limits::RELAY_SLOW_AFTER), number), Turn::End);
            continue;
        }
        if slow {
            scheduler.quick(&job);
        }
        let taken = job.down.is_none() && manners[of(&job)] == Manner::Takes;
        let result = if taken { Settled::Gone } else { Settled::Later(now.plus(schedule.first_retry)) };
        if taken {
            scheduler.answered(&job);
            left[of(&job)] -= 1;
        } else if job.down.is_none() {
            scheduler.failed(&job, "no answer", now);
            rest.drain(..).for_each(|other| scheduler.give_back(&other));
        }
        scheduler.settled(&job, &[(0, result)], now);
        if rest.is_empty() {
            rest = scheduler.next_for(&job, now);
        }
        if rest.is_empty() {
            scheduler.leave(&job);
            continue;
        }
        let next = rest.remove(0);
        let time = takes(&next);
        let slow = time > limits::RELAY_SLOW_AFTER;
        let at = now.plus(if slow { limits::RELAY_SLOW_AFTER } else { time });
        turns.insert((at, number), if slow { Turn::Slow } else { Turn::End });
        workers[number] = (next, rest, false);
    }
}

#[test]
fn the_living_do_not_wait_for_the_dead() {
    let random = Seed(7.into());
    let mut manners = [[Manner::Takes; 500].as_slice(), &[Manner::Refuses; 250], &[Manner::BlackHole; 250]].concat();
    for end in (1..manners.len()).rev() {
        manners.swap(end, random.below(end as u64 + 1) as usize);
    }
    let beside_the_dead = time_for_the_living(&manners);
    let alone = time_for_the_living(&[Manner::Takes; 500]);
    // 100,000 messages to 1,000 destinations. Nobody can know at first who is dead: that costs the time after which a
    // try counts as slow, twice at most, and never the time after which it fails.
    let most = alone + 2 * limits::RELAY_SLOW_AFTER;
    assert!(beside_the_dead <= most, "{beside_the_dead:?} beside the dead, {alone:?} without");
}

/// `RELAY_PER_DESTINATION` to one that answers, and not one more.
#[test]
fn so_many_connections_to_one_destination() {
    let mut scheduler = Scheduler::new(Schedule::default());
    for n in 0..2 * limits::RELAY_PER_DESTINATION as u64 {
        scheduler.changed(item(n, 0, "blue.example", START), START);
    }
    let first = scheduler.start(START).unwrap();
    scheduler.answered(&first);
    let more = std::iter::from_fn(|| scheduler.start(START)).count();
    assert_eq!(1 + more, limits::RELAY_PER_DESTINATION);
}

/// `RELAY_DOWN`: however often it has failed, a destination is asked again after that, and not before.
#[test]
fn a_dead_destination_is_asked_again() {
    let schedule = Schedule { first_retry: limits::RELAY_DOWN, ..Schedule::default() };
    let mut scheduler = Scheduler::new(schedule);
    let mut now = START;
    scheduler.changed(item(1, 0, "dead.example", START), now);
    for _ in 0..5 {
        let job = scheduler.start(now).unwrap();
        assert_eq!(job.down, None, "it is tried for real");
        scheduler.failed(&job, "refused", now);
        scheduler.settled(&job, &[(0, Settled::Later(now))], now);
        scheduler.leave(&job);
        let just_before = now.plus(limits::RELAY_DOWN - Duration::from_millis(1));
        scheduler.tick(just_before);
        assert!(scheduler.down(&Domain::from_ascii("dead.example").unwrap()).is_some());
        if let Some(job) = scheduler.start(just_before) {
            assert!(job.down.is_some(), "it is not tried, only put off");
            scheduler.settled(&job, &[(0, Settled::Later(now.plus(limits::RELAY_DOWN)))], just_before);
            scheduler.leave(&job);
        }
        now = now.plus(limits::RELAY_DOWN);
        scheduler.tick(now);
    }
}
