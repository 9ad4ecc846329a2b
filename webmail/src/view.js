// One query's result as the list sees it: asks for the windows that are looked at, keeps the places of what it knows, and
// takes changes. One view is one filter; another filter is another view. It draws nothing.

import { JmapError, ref } from './jmap.js';
import { NEWEST, ROW } from './store.js';
import { Segments } from './segments.js';

const WINDOW = 50;
const MOST_PLACES = 20_000;
const AT_ONCE = 2; // windows that are under way; the rest is asked for when one is there
const AGAIN = 4000; // ms
const FIRST = 20; // rows that are asked for before it is known how many are seen

let first = null;

/** Asks for the folder that the page begins with, before there is anybody to show it. */
export function begin(store, [kind, id]) {
	const folder = kind !== 'search' && store.folder(id);
	if (folder) first = viewOf(store, { inMailbox: folder.id }, folder.id);
}

/** A view that was asked for: of a folder perhaps the one that the page began with. */
export function viewOf(store, filter, folder, options) {
	const begun = first;
	first = null;
	if (begun && folder === begun.filter.inMailbox && (begun.settled || begun.asked.size)) return begun;
	begun?.close();
	const view = new View(store, filter, options);
	view.ensure(0, FIRST);
	return view;
}

export class View extends EventTarget {
	constructor(store, filter, { collapse = true, snippets = false } = {}) {
		super();
		this.store = store;
		this.filter = filter;
		this.collapse = collapse;
		this.wantsSnippets = snippets;
		this.snippets = new Map();
		this.places = new Segments();
		this.state = null;
		this.asked = new Map(); // window → promise
		this.lately = new Map(); // window → when it was asked for: what the server doesn't have is not asked for all the time
		this.settled = false;
		this.closed = false;
		store.views.add(this);
	}

	close() {
		this.closed = true;
		this.store.views.delete(this);
	}

	get total() {
		return this.places.total;
	}

	query() {
		return { filter: this.filter, sort: NEWEST, collapseThreads: this.collapse };
	}

	/** The message in a row, if it is known. */
	at(index) {
		const id = this.places.at(index);
		return id && this.store.emails.get(id);
	}

	/** Sees to it that these rows become known; `changed` is told when they are. */
	ensure(from, to) {
		if (this.closed) return;
		this.looking = [from, to];
		const last = Math.max(0, this.settled ? Math.min(to, this.total) - 1 : to - 1);
		for (let window = Math.floor(Math.max(0, from) / WINDOW); window <= Math.floor(last / WINDOW); window++) {
			if (this.asked.size >= AT_ONCE) return;
			if (!this.asked.has(window) && !this.has(window) && Date.now() - (this.lately.get(window) ?? 0) > AGAIN) this.ask(window);
		}
	}

	has(window) {
		const end = Math.min((window + 1) * WINDOW, this.settled ? this.total : Infinity);
		for (let index = window * WINDOW; index < end; index++) if (!this.at(index)) return false;
		return this.settled;
	}

	async ask(window) {
		const promise = this.load(window * WINDOW);
		this.asked.set(window, promise);
		this.lately.set(window, Date.now());
		if (this.lately.size > 100) this.lately.delete(this.lately.keys().next().value);
		try {
			await promise;
		} catch (error) {
			if (!this.closed) this.dispatchEvent(new CustomEvent('failed', { detail: error }));
		} finally {
			this.asked.delete(window);
		}
	}

	/** What the server says of one window: {query, snippets}; messages and threads are the store's. */
	async fetch(position) {
		const found = { '#ids': ref(0, '/ids') };
		const answers = await this.rows([['Email/query', { ...this.query(), position, limit: WINDOW, calculateTotal: true }]], found,
			this.wantsSnippets ? [['SearchSnippet/get', { filter: this.filter, '#emailIds': found['#ids'] }]] : []);
		const query = answers[0];
		if (query.error) throw new JmapError(query.error, query.description);
		if (!this.closed && this.wantsSnippets && !answers.at(-1).error) for (const snippet of answers.at(-1).list) this.snippets.set(snippet.emailId, snippet);
		return query;
	}

	/** RFC 8621 §4.10 shows this very request: rows, their threads, and the flags of all in them, in one turn. */
	async rows(before, which, after = []) {
		const at = before.length;
		const calls = [...before, ['Email/get', { ...which, properties: ROW }]];
		if (this.collapse) calls.push(['Thread/get', { '#ids': ref(at, '/list/*/threadId') }], ['Email/get', { '#ids': ref(at + 1, '/list/*/emailIds'), properties: ROW }]);
		const answers = await this.store.jmap.all([...calls, ...after], { tolerant: true });
		if (this.closed) return answers;
		const [rows, threads, members] = answers.slice(at, calls.length);
		if (threads && !threads.error) this.store.takeThreads(threads.list, threads.state);
		if (members && !members.error) this.store.takeEmails(members.list);
		if (!rows.error) this.store.takeEmails(rows.list, rows.state);
		return answers;
	}

	take(query, position) {
		this.places.total = query.total ?? Math.max(this.total, position + query.ids.length);
		this.places.put(query.position, query.ids);
		this.places.trim(position, MOST_PLACES);
		this.settled = true;
	}

	async load(position, again = true) {
		const query = await this.fetch(position);
		if (this.closed) return;
		if (this.state && this.state !== query.queryState) {
			// The other windows are of another state. They are brought up to date, not thrown away; then this one fits, or is
			// asked for once more.
			await this.refresh().catch(() => {});
			if (this.closed) return;
			if (this.state !== query.queryState) {
				if (again) return void (await this.load(position, false));
				this.start();
			}
		}
		this.state = query.queryState;
		this.take(query, position);
		this.changed();
		await this.catchUp();
	}

	/** Forgets all places. */
	start() {
		const total = this.total;
		this.places = new Segments();
		this.places.total = total;
		this.lately.clear();
	}

	/** All anew, beginning with what is looked at; what is shown stays until the new is there. */
	async renew() {
		const [from, to] = this.looking ?? [0, 1];
		const positions = [];
		for (let window = Math.floor(Math.max(0, from) / WINDOW); window <= Math.floor(Math.max(0, to - 1) / WINDOW) && positions.length < 4; window++) positions.push(window * WINDOW);
		const answers = await Promise.all(positions.map((position) => this.fetch(position)));
		if (this.closed) return;
		const state = answers.at(-1).queryState;
		this.start();
		answers.forEach((query, at) => query.queryState === state && this.take(query, positions[at]));
		this.state = state;
		this.changed();
	}

	/** A change that was told of while an answer was under way may not be in that answer. */
	async catchUp() {
		if (!this.missed) return;
		this.missed = false;
		await this.refresh().catch(() => {});
	}

	/** RFC 8620 §5.6: what changed since, or all anew where the server can't tell. */
	async refresh() {
		if (this.closed) return;
		if (this.refreshing || (!this.state && this.asked.size)) {
			this.missed = true;
			return;
		}
		this.refreshing = true;
		try {
			// Where there is no state nothing came yet, or what is shown was kept.
			await (this.state ? this.follow(this.state) : this.renew());
		} finally {
			this.refreshing = false;
		}
		await this.catchUp();
	}

	async follow(since) {
		const [changes] = await this.store.jmap.all([['Email/queryChanges', { ...this.query(), sinceQueryState: since, calculateTotal: true, maxChanges: 500 }]], { tolerant: true });
		if (this.closed) return;
		if (this.state !== since) {
			this.missed = true;
		} else if (changes.error) {
			await this.renew();
		} else {
			this.state = changes.newQueryState;
			const top = this.places.at(0);
			this.places.apply(changes);
			await this.fill(changes.added.map((item) => item.id));
			this.changed({ inserted: top ? Math.max(0, this.places.indexOf(top)) : 0 });
		}
	}

	/** Fetches rows that came by a change and are not known. */
	async fill(ids) {
		const missing = ids.filter((id) => !this.store.emails.has(id) || (this.collapse && !this.store.threads.has(this.store.emails.get(id).threadId))).slice(0, 200);
		if (missing.length) await this.rows([], { ids: missing });
	}

	/** Takes rows out at once. */
	remove(ids) {
		for (const id of ids) this.places.remove(id);
		this.changed();
	}

	/** Forgets all places: after something that was presumed turned out otherwise. */
	reload() {
		return this.renew().catch(() => {});
	}

	changed(detail = {}) {
		this.dispatchEvent(new CustomEvent('changed', { detail }));
	}
}
