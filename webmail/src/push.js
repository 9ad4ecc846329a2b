// Changes as they happen: the server's event source (RFC 8620 §7.3). An event only says that something changed; what, the
// store fetches. Where the connection is lost it comes back by itself, and asks then for what it missed.

const TYPES = ['Email', 'Mailbox', 'Thread', 'EmailSubmission', 'Identity'];
const LONGEST = 60_000; // ms between two tries

export class Push {
  /** `changed()` when something changed, `state(connected)` when the connection comes or goes. */
  constructor(jmap, { changed, state }) {
    Object.assign(this, { jmap, changed, state, wait: 1000 });
    window.addEventListener('online', () => this.connect());
    window.addEventListener('offline', () => this.state(false));
    document.addEventListener('visibilitychange', () => !document.hidden && this.connected && this.changed());
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = new EventSource(this.jmap.events(TYPES));
    this.source.addEventListener('open', () => {
      this.wait = 1000;
      const again = this.connected === false;
      this.connected = true;
      this.state(true);
      if (again) this.changed();
    });
    this.source.addEventListener('state', (event) => {
      try {
        if (JSON.parse(event.data).changed?.[this.jmap.account]) this.changed();
      } catch {
        // Not an event that is known.
      }
    });
    this.source.addEventListener('error', () => {
      this.connected = false;
      this.state(navigator.onLine && this.source.readyState !== EventSource.CLOSED ? null : false);
      if (this.source.readyState !== EventSource.CLOSED) return;
      this.changed(); // finds out whether one is still logged in
      this.timer = setTimeout(() => this.connect(), this.wait);
      this.wait = Math.min(LONGEST, this.wait * 2);
    });
  }
}
