// The pane of messages: the virtual list on a view, its cursor, the selection of many, dragging. It decides what a click
// or a step means for the list; what happens to messages is told to `app`.

import { byId, el, iconButton, show } from './dom.js';
import { List } from './list.js';
import { viewOf } from './view.js';
import { fillRow, makeRow } from './rows.js';
import { t } from './texts.js';

const ROW_HEIGHT = 76;
const AIM = 60; // ms

export class ListPane {
	constructor(app) {
		this.app = app;
		this.box = byId('list');
		this.view = null;
		this.cursor = { id: null, index: 0 };
		this.openThread = null;
		this.selected = new Set();
		this.list = new List(this.box, {
			rowHeight: ROW_HEIGHT,
			make: makeRow,
			draw: (row, index) => this.draw(row, index),
			seen: (from, to) => this.seen(from, to),
		});
		this.box.addEventListener('click', (event) => this.clicked(event));
		for (const type of ['pointerdown', 'pointerover']) this.box.addEventListener(type, (event) => this.aimed(event));
		this.box.addEventListener('focus', () => this.markCursor());
		this.box.addEventListener('dragstart', (event) => this.dragged(event));
		app.store.addEventListener('emails', () => this.later());
		app.store.addEventListener('threads', () => this.later());
		this.bar();
	}

	/** Shows another result. */
	show(filter, { title, outgoing = false, search = false, folder = null } = {}) {
		this.view?.close();
		Object.assign(this, { outgoing, search, folder, title });
		this.selected.clear();
		this.cursor = { id: null, index: 0 };
		this.openThread = null;
		this.view = viewOf(this.app.store, filter, folder, { snippets: search });
		this.view.addEventListener('changed', (event) => this.changed(event.detail));
		this.view.addEventListener('failed', (event) => this.app.failed(event.detail, this.view));
		show(byId('list-empty'), false);
		show(this.box, true);
		this.list.resize(0);
		this.list.go(0);
		this.nameCursor();
		this.box.setAttribute('aria-label', title);
		byId('list-title').textContent = title;
		this.status(t('loading'));
		this.bar();
		if (this.view.settled) this.changed();
	}

	status(text) {
		byId('list-count').textContent = text;
	}

	changed({ inserted = 0 } = {}) {
		const { view } = this;
		this.list.shift(inserted);
		this.list.resize(view.total);
		if (this.cursor.id) {
			const index = view.places.indexOf(this.cursor.id);
			if (index >= 0) this.cursor.index = index;
		}
		this.cursor.index = Math.max(0, Math.min(this.cursor.index, view.total - 1));
		this.cursor.id = view.places.at(this.cursor.index) ?? this.cursor.id;
		for (const id of this.selected) if (!this.app.store.emails.has(id)) this.selected.delete(id);
		this.status(t('conversations', { n: view.total }));
		const empty = view.settled && view.total === 0;
		show(byId('list-empty'), empty).textContent = this.search ? t('emptySearch') : t('emptyFolder');
		show(this.box, !empty);
		this.list.redraw();
		this.markCursor();
		if (this.folder && view.settled && !this.app.isOffline) {
			// Not put off by what changes meanwhile: that may go on for ever.
			this.keeping ??= setTimeout(() => {
				this.keeping = null;
				if (this.folder && this.view?.settled && !this.app.isOffline) this.app.offline.keepList(this.folder, this.view);
			}, 1500);
		}
	}

	later() {
		this.frame ??= requestAnimationFrame(() => {
			this.frame = null;
			if (this.view) this.list.redraw();
			this.bar();
		});
	}

	/** Rows that rush by are not asked for; those that stay are. */
	seen(from, to) {
		this.nameCursor();
		clearTimeout(this.asking);
		const spare = to - from;
		this.asking = setTimeout(() => this.view?.ensure(from - spare, to + spare), this.view?.asked.size ? 90 : 25);
	}

	draw(row, index) {
		const email = this.view?.at(index);
		fillRow(row, index, this.view?.total ?? 0, email, {
			thread: email ? this.members(email) : [],
			selected: email && this.selected.has(email.id),
			active: index === this.cursor.index,
			open: Boolean(email && this.openThread === email.threadId),
			snippet: email && this.view.snippets.get(email.id),
			outgoing: this.outgoing,
		});
	}

	/** The messages that a row stands for. */
	members(email) {
		const thread = this.view?.collapse ? this.app.store.thread(email.threadId) : [];
		const here = this.folder ? thread.filter((one) => one.mailboxIds[this.folder]) : thread;
		return here.length ? here : [email];
	}

	markCursor() {
		for (const [index, row] of this.list.rows) row.classList.toggle('active', index === this.cursor.index);
		this.nameCursor();
	}

	/** A row that is scrolled away is no element any more: then none is named. */
	nameCursor() {
		const row = this.list.rows.get(this.cursor.index);
		if (row) this.box.setAttribute('aria-activedescendant', row.id);
		else this.box.removeAttribute('aria-activedescendant');
	}

	// -- the cursor

	step(by) {
		this.moveTo(this.cursor.index + by);
	}

	moveTo(index) {
		if (!this.view?.total) return;
		const to = Math.max(0, Math.min(this.view.total - 1, index));
		this.cursor = { index: to, id: this.view.places.at(to) ?? null };
		this.list.reveal(to);
		this.markCursor();
		this.aim(to);
	}

	page(by) {
		this.step(by * Math.max(1, Math.floor(this.list.view / ROW_HEIGHT) - 1));
	}

	current() {
		return this.view?.at(this.cursor.index);
	}

	open(enter = false) {
		const email = this.current();
		if (!email) return;
		this.openThread = email.threadId;
		this.list.redraw();
		this.app.openMessage(email, enter);
	}

	// -- the selection

	toggle(index = this.cursor.index, through = false) {
		const from = through && this.anchor !== undefined ? this.anchor : index;
		const on = through ? true : !this.selected.has(this.view.places.at(index));
		for (let at = Math.min(from, index); at <= Math.max(from, index); at++) {
			const id = this.view.places.at(at);
			if (id && on) this.selected.add(id);
			else if (id) this.selected.delete(id);
		}
		this.anchor = index;
		this.list.redraw();
		this.bar();
	}

	selectAll() {
		const all = this.view.places.ids().filter((id) => this.app.store.emails.has(id));
		const none = all.length > 0 && all.every((id) => this.selected.has(id));
		this.selected = new Set(none ? [] : all);
		this.list.redraw();
		this.bar();
	}

	selectNone() {
		this.selected.clear();
		this.list.redraw();
		this.bar();
	}

	/** The rows that an action is for: those selected, else the one at the cursor. */
	rows() {
		if (this.selected.size) return [...this.selected];
		const email = this.current();
		return email ? [email.id] : [];
	}

	/** The rows of a thread that is open; where the list doesn't show it, its messages themselves. */
	rowsOf(threadId) {
		const { store } = this.app;
		const row = this.view?.places.ids().find((id) => store.emails.get(id)?.threadId === threadId);
		return row ? [row] : store.thread(threadId).map((email) => email.id);
	}

	/** All messages behind these rows. */
	messages(rows = this.rows()) {
		return rows.flatMap((id) => {
			const email = this.app.store.emails.get(id);
			return email ? this.members(email).map((one) => one.id) : [];
		});
	}

	/** Takes rows out, as their messages have left. */
	remove(rows) {
		for (const id of rows) this.selected.delete(id);
		this.view.remove(rows);
		this.bar();
	}

	// -- the pointer

	/** What is pointed at for a moment, or pressed, will be opened: it is fetched meanwhile. */
	aimed({ type, target }) {
		this.aim(target.closest('.row')?.index, type === 'pointerdown' ? 0 : AIM);
	}

	aim(index, after = AIM) {
		clearTimeout(this.aiming);
		this.aiming = setTimeout(() => this.app.reader.ahead(this.view?.at(index)), after);
	}

	clicked(event) {
		const row = event.target.closest('.row');
		if (!row || row.hidden) return;
		this.box.focus({ preventScroll: true });
		const email = this.view.at(row.index);
		if (!email) return;
		if (event.shiftKey || event.ctrlKey || event.metaKey || event.target.closest('.mark')) {
			this.toggle(row.index, event.shiftKey);
			this.cursor = { index: row.index, id: email.id };
			this.markCursor();
			return;
		}
		this.cursor = { index: row.index, id: email.id };
		if (event.target.closest('.star')) {
			this.app.toggleFlag([email.id]);
			return;
		}
		this.open();
	}

	dragged(event) {
		const row = event.target.closest?.('.row');
		const email = row && this.view.at(row.index);
		if (!email) return event.preventDefault();
		if (!this.selected.has(email.id)) this.selected = new Set();
		const rows = this.selected.size ? [...this.selected] : [email.id];
		this.app.dragging = rows;
		event.dataTransfer.effectAllowed = 'move';
		event.dataTransfer.setData('application/x-postrider', rows.join(' '));
		const badge = el('div', { class: 'drag-badge' }, t('selected', { n: rows.length }));
		document.body.append(badge);
		event.dataTransfer.setDragImage(badge, -8, -8);
		requestAnimationFrame(() => badge.remove());
		return undefined;
	}

	// -- what stands above the list

	bar() {
		const many = this.selected.size;
		show(byId('list-head'), !many);
		const tools = show(byId('list-tools'), many > 0);
		if (!many) return;
		if (this.barFor === many && tools.firstChild) return;
		this.barFor = many;
		const { app } = this;
		tools.replaceChildren(
			iconButton('close', t('selectNone'), () => this.selectNone()),
			el('h1', { class: 'unseen' }, this.title),
			el('span', { class: 'how-many', role: 'status' }, t('selected', { n: many })),
			...app.tools(() => this.rows()),
		);
	}
}
