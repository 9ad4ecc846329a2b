// Addresses learnt from sent mail: who was written to, how often and how lately. They are read from the newest messages in
// the folder of sent mail at the start, and from each that is sent. Nothing is stored: they come with the mail.

import { ref } from './jmap.js';
import { NEWEST } from './store.js';

const SENT = 200; // messages that are looked at
const MOST = 2000;

export class Contacts {
	constructor(store) {
		this.store = store;
		this.known = new Map(); // address → {name, email, weight}
	}

	async learn() {
		const sent = this.store.byRole('sent');
		if (!sent) return;
		const [, got] = await this.store.jmap.all([
			['Email/query', { filter: { inMailbox: sent.id }, sort: NEWEST, limit: SENT }],
			['Email/get', { '#ids': ref(0, '/ids'), properties: ['to', 'cc', 'bcc'] }],
		], { tolerant: true });
		(got.list ?? []).forEach((email, at) => this.take([email.to, email.cc, email.bcc].flat().filter(Boolean), 1 - at / (2 * SENT)));
	}

	take(addresses, weight = 1) {
		for (const { name, email } of addresses) {
			if (!email) continue;
			const key = email.toLowerCase();
			const had = this.known.get(key);
			if (!had && this.known.size >= MOST) continue;
			this.known.set(key, { name: had?.name || name || null, email, weight: (had?.weight ?? 0) + weight });
		}
	}

	/** Those whose name or address has a word that begins so; the ones written to most come first. */
	find(typed, most = 6) {
		const wanted = typed.trim().toLowerCase();
		if (!wanted) return [];
		const begins = (text) => text?.toLowerCase().split(/[\s.@_-]+/).some((word) => word.startsWith(wanted)) || text?.toLowerCase().startsWith(wanted);
		return [...this.known.values()].filter((one) => begins(one.name) || begins(one.email)).sort((a, b) => b.weight - a.weight).slice(0, most);
	}
}
