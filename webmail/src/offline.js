// What was seen, kept in this browser for reading without a connection: the folders, the first rows of each list, the
// threads that were read. In IndexedDB; bounded; gone with the log-out. The page itself is the service worker's (sw.js).
// Without a connection nothing can be changed.

import { trustedAddress } from './sanitise.js';
import { ROW } from './store.js';

const MOST_THREADS = 500;
const MOST_ROWS = 150;
const open = (request) => new Promise((resolve, reject) => {
	request.onsuccess = () => resolve(request.result);
	request.onerror = () => reject(request.error);
});

export class Offline {
	constructor() {
		this.base = this.prepare().catch(() => null);
	}

	async prepare() {
		const request = indexedDB.open('postrider', 1);
		request.onupgradeneeded = () => {
			request.result.createObjectStore('kept');
			request.result.createObjectStore('threads', { keyPath: 'id' }).createIndex('when', 'when');
		};
		return open(request);
	}

	async put(store, value, key) {
		const base = await this.base;
		if (!base || this.ended) return;
		await open(base.transaction(store, 'readwrite').objectStore(store).put(value, key)).catch(() => {});
	}

	async get(store, key) {
		const base = await this.base;
		return base ? open(base.transaction(store).objectStore(store).get(key)).catch(() => undefined) : undefined;
	}

	/** Keeps the session, so that the page can begin without the server. Another account's things go first. */
	async keepSession(session) {
		const before = await this.get('kept', 'session');
		if (before && before.username !== session.username) await this.forget();
		await this.put('kept', session, 'session');
	}

	keepMailboxes(mailboxes) {
		return this.put('kept', [...mailboxes.values()], 'mailboxes');
	}

	/** The first rows of a folder. */
	keepList(folder, view) {
		const ids = view.places.runs[0]?.start === 0 ? view.places.runs[0].ids.slice(0, MOST_ROWS) : [];
		const rows = ids.map((id) => view.store.emails.get(id)).filter(Boolean);
		const bare = (email) => Object.fromEntries(ROW.map((name) => [name, email[name]]));
		const all = new Map(rows.flatMap((email) => [email, ...view.store.thread(email.threadId)]).map((email) => [email.id, bare(email)]));
		const threads = rows.map((email) => [email.threadId, view.store.threads.get(email.threadId)]);
		if (rows.length) this.put('kept', { ids: rows.map((email) => email.id), emails: [...all.values()], threads }, `list ${folder}`);
	}

	list(folder) {
		return this.get('kept', `list ${folder}`);
	}

	async keepThread(id, emails) {
		if (!emails.length || emails.some((email) => !email.bodyValues)) return;
		await this.put('threads', { id, emails, when: Date.now() });
		await this.prune();
	}

	async thread(id) {
		return (await this.get('threads', id))?.emails;
	}

	/** The threads that were read longest ago go. */
	async prune() {
		const base = await this.base;
		if (!base) return;
		const store = base.transaction('threads', 'readwrite').objectStore('threads');
		let excess = (await open(store.count())) - MOST_THREADS;
		if (excess <= 0) return;
		const cursor = store.index('when').openCursor();
		cursor.onsuccess = () => {
			if (!cursor.result || excess-- <= 0) return;
			cursor.result.delete();
			cursor.result.continue();
		};
	}

	/** Forgets all, and keeps nothing more: an answer that is still under way would come after. */
	end() {
		this.ended = true;
		return this.forget();
	}

	async forget() {
		const base = await this.base;
		if (!base) return;
		const transaction = base.transaction(['kept', 'threads'], 'readwrite');
		transaction.objectStore('kept').clear();
		await open(transaction.objectStore('threads').clear());
		for (const name of await caches.keys().catch(() => [])) if (name.startsWith('postrider-blobs')) await caches.delete(name);
	}
}

/** The service worker, which keeps the page itself. Where there is none, all works but beginning without a connection. */
export async function install() {
	try {
		await navigator.serviceWorker.register(trustedAddress(new URL('sw.js', document.baseURI).href));
	} catch {
		// Not over plain HTTP from elsewhere, nor in private windows of some browsers.
	}
}
