// Changes as they happen: the server's event source (RFC 8620 §7.3). An event only says that something changed; what, the
// store fetches. Where the connection is lost it comes back by itself. Whatever happened before a stream was open is in no
// event of it, so each one that opens asks once. A server that has no events is asked now and then.

const TYPES = ['Email', 'Mailbox', 'Thread', 'EmailSubmission', 'Identity', 'Journey'];
const SHORTEST = 1000; // ms between two tries
const LONGEST = 60_000;

export class Push {
	/**
	 * `changed(types)` when something may have changed (without: anything): promises whether the server was reached. `state(connected)` when the connection
	 * comes or goes.
	 */
	constructor(jmap, { changed, state }) {
		Object.assign(this, { jmap, changed, state, wait: SHORTEST });
		window.addEventListener('online', () => this.connect());
		window.addEventListener('offline', () => this.state(false));
		document.addEventListener('visibilitychange', () => !document.hidden && this.changed());
		this.connect();
	}

	connect() {
		clearTimeout(this.timer);
		this.source?.close();
		const source = new EventSource(this.jmap.events(TYPES));
		this.source = source;
		// What one that was replaced still has to say is of no matter.
		const listen = (name, act) => source.addEventListener(name, (event) => source === this.source && act(event));
		listen('open', () => {
			this.wait = SHORTEST;
			this.state(true);
			this.changed();
		});
		listen('state', (event) => {
			try {
				const changed = JSON.parse(event.data).changed?.[this.jmap.account];
				if (changed) this.changed(changed);
			} catch {
				// Not an event that is known.
			}
		});
		listen('error', async () => {
			if (!navigator.onLine) this.state(false);
			// The browser tries again by itself, unless it was refused.
			if (source.readyState !== EventSource.CLOSED) return;
			this.timer = setTimeout(() => this.connect(), this.wait);
			this.wait = Math.min(LONGEST, this.wait * 2);
			// Also finds out whether one is still logged in.
			const reached = await this.changed();
			if (source === this.source) this.state(reached);
		});
	}
}
