// The app after the log-in: wires store, panes, keys and push together, and knows what is open. It is the one that the
// panes tell what the reader wants; how it is done is in the modules that it calls.

import { byId, icon, iconButton, place, set, show } from './dom.js';
import { t } from './texts.js';
import { Folders, folderName, tree } from './folders.js';
import { ListPane } from './listpane.js';
import { Actions } from './actions.js';
import { notice, sure, takeBack } from './notice.js';
import { same } from './addresses.js';
import { Keys } from './keys.js';
import { JmapError } from './jmap.js';
import { logOut } from './session.js';
import { Reader } from './reader.js';
import { WHOLE } from './message.js';
import { Contacts } from './contacts.js';
import { Sends } from './sends.js';
import { Push } from './push.js';
import { filter } from './search.js';
import { Notifications } from './notifications.js';
import { install } from './offline.js';
import { manageFolders } from './manage.js';
import { choose, isDark, showColours } from './choices.js';
import { click, mailto, wayOut } from './unsubscribe.js';
import { moreButton, openMenu } from './menu.js';

const TYPING = 250; // ms after a key before a search begins
const AFTER = 50; // ms; the list is drawn by then

/** What nobody needs for a look at the mail. */
const later = () => import('./later.js').catch(() => {
	throw new JmapError('network');
});

export class App {
	constructor(store, offline) {
		this.jmap = store.jmap;
		this.offline = offline;
		this.store = store;
		this.actions = new Actions(this.store, notice, () => this.sync().then(() => this.list.view?.reload()));
		this.contacts = new Contacts(this.store);
		this.sends = new Sends(this);
		this.folder = null;
	}

	/** `loaded`: the store is, or why it can't be. */
	async start(loaded) {
		show(byId('app'), true);
		this.folders = new Folders(this.store, { open: (id) => this.go({ folder: id }), drop: (id) => this.moveTo(this.dragging ?? [], id) });
		this.list = new ListPane(this);
		this.reader = new Reader(this);
		this.keys = new Keys(this);
		this.drawTools();
		byId('show-folders').addEventListener('click', () => this.toggleFolders());
		byId('compose').addEventListener('click', () => {
			this.toggleFolders(false);
			this.compose();
		});
		byId('work').addEventListener('click', (event) => {
			if (!document.body.classList.contains('folders-open')) return;
			event.stopPropagation();
			this.toggleFolders(false);
		}, { capture: true });
		window.addEventListener('beforeunload', (event) => this.composer?.draft.dirty && event.preventDefault());
		window.addEventListener('hashchange', () => this.route());
		byId('search-form').addEventListener('submit', (event) => {
			event.preventDefault();
			this.search(true);
		});
		byId('search').addEventListener('input', () => {
			clearTimeout(this.typing);
			this.typing = setTimeout(() => this.search(false), TYPING);
		});
		byId('search').addEventListener('keydown', (event) => this.inSearch(event));
		this.store.addEventListener('mailboxes', () => this.isOffline || this.offline.keepMailboxes(this.store.mailboxes));
		this.notifications = new Notifications(this);
		await this.begin(loaded);
		this.route();
		// What is looked at comes first.
		await Promise.allSettled(this.list.view?.asked.values() ?? []);
		setTimeout(() => this.goOn(), AFTER);
	}

	goOn() {
		this.push = new Push(this.jmap, { changed: (types) => this.changed(types), state: (connected) => this.connection(connected) });
		this.contacts.learn().catch(() => {});
		install();
		this.reader.ahead(this.list.current());
		later().then(({ keep }) => keep(this)).catch(() => {});
	}

	async begin(loaded) {
		try {
			await loaded;
			this.store.tell('mailboxes');
			this.offline.keepSession(this.jmap.session);
		} catch (error) {
			const kept = error.kind === 'network' && (await this.offline.get('kept', 'mailboxes'));
			if (!kept) throw error;
			this.connection(false);
			this.store.mailboxes = new Map(kept.map((box) => [box.id, box]));
			this.store.tell('mailboxes');
		}
	}

	/** Of journeys a picture wants to hear; the rest is the store's. */
	async changed(types) {
		if (!types || types.Journey) this.store.tell('journeys');
		return !types || Object.keys(types).some((type) => type !== 'Journey') ? this.sync(true) : true;
	}

	/** Whether the server can be reached, as far as is known. */
	connection(connected) {
		const before = this.isOffline ?? false;
		this.isOffline = !connected;
		document.body.classList.toggle('offline', this.isOffline);
		show(byId('offline'), this.isOffline).textContent = t('offline');
		if (before && connected) {
			notice(t('online'));
			if (this.composer?.draft.dirty) this.composer.draft.touch();
		}
	}

	/** What the list can't get from the server, from what was kept. */
	async unreachable(error, view) {
		if (error.kind !== 'network' || view?.settled || this.place !== 'folder') return false;
		const kept = await this.offline.list(this.folder);
		if (!kept || view.closed) return false;
		this.connection(false);
		this.store.takeEmails(kept.emails);
		for (const [id, emailIds] of kept.threads) if (emailIds) this.store.threads.set(id, emailIds);
		view.places.put(0, kept.ids);
		view.places.total = kept.ids.length;
		view.settled = true;
		view.changed();
		return true;
	}

	/** Searches for what is typed; while typing, the place in the history is the same. */
	search(chosen) {
		clearTimeout(this.typing);
		const words = byId('search').value.trim();
		if (words) this.go({ search: words }, this.place === 'search');
		else if (this.place === 'search') this.go({ folder: this.before ?? this.store.byRole('inbox')?.id });
		if (chosen) byId('list').focus();
	}

	inSearch(event) {
		if (event.key === 'ArrowDown') {
			event.preventDefault();
			byId('list').focus();
		} else if (event.key === 'Escape') {
			event.preventDefault();
			byId('search').value = '';
			this.search(true);
		}
	}

	showSearch(words) {
		if (this.place === 'search' && this.words === words) return;
		if (this.place === 'folder') this.before = this.folder;
		const folders = [...this.store.mailboxes.values()].map((box) => ({ id: box.id, role: box.role, names: [box.name, folderName(box)] }));
		const meant = filter(words, folders);
		if (!meant) return;
		Object.assign(this, { place: 'search', words, folder: null });
		if (document.activeElement !== byId('search')) byId('search').value = words;
		this.folders.choose(null);
		this.list.show(meant, { title: t('search'), search: true });
		this.notifications.title();
	}

	drawTools() {
		byId('list-head-tools').replaceChildren(
			iconButton('check', t('selectAll'), () => this.list.selectAll()),
			iconButton('refresh', t('refresh'), () => this.sync()),
		);
		byId('compose-float').append(icon('pen'));
		byId('compose-float').addEventListener('click', () => this.compose());
		byId('list-head-tools').append(moreButton(() => manageFolders(this)));
		byId('top-tools').replaceChildren(
			iconButton('help', t('keys'), () => this.keys.help(), { class: 'icon-button wide-only' }),
			iconButton('moon', t('darkOrLight'), () => this.switchColours()),
			iconButton('gear', t('settings'), () => this.settings()),
			iconButton('out', t('logout'), () => this.leave()),
		);
	}

	switchColours() {
		choose('theme', isDark() ? 'light' : 'dark');
		showColours();
		for (const message of this.reader.messages.values()) message.draw();
	}

	toggleFolders(open = !document.body.classList.contains('folders-open')) {
		document.body.classList.toggle('folders-open', open);
		set(byId('show-folders'), { 'aria-expanded': String(open) });
		if (open) byId('folder-list').querySelector('[aria-current]')?.focus();
		else if (getComputedStyle(byId('show-folders')).display !== 'none' && byId('folders').contains(document.activeElement)) byId('show-folders').focus();
	}

	// -- where we are

	get here() {
		return { folder: this.folder, search: this.place === 'search' ? this.words : undefined };
	}

	go({ folder, search, thread }, replace = false) {
		const parts = search !== undefined ? ['search', search] : ['folder', folder];
		if (thread) parts.push(thread);
		const hash = `#/${parts.map(encodeURIComponent).join('/')}`;
		if (!replace && location.hash === hash) return;
		history[replace ? 'replaceState' : 'pushState'](null, '', hash);
		this.route();
	}

	route() {
		const [kind, value, thread] = place();
		this.toggleFolders(false);
		// Browsers that are to change a password come by `/.well-known/change-password`.
		if (kind === 'settings') this.settings();
		if (kind === 'search' && value) this.showSearch(value);
		else {
			const folder = this.store.folder(value);
			if (folder) this.showFolder(folder);
		}
		document.body.classList.toggle('reading', Boolean(thread));
		if (thread) this.showThread(thread);
		else this.closeThread();
	}

	showFolder(box) {
		if (this.folder === box.id && this.place === 'folder') return;
		Object.assign(this, { folder: box.id, place: 'folder', words: '' });
		byId('search').value = '';
		this.folders.choose(box.id);
		this.list.show({ inMailbox: box.id }, { title: folderName(box), outgoing: ['sent', 'drafts'].includes(box.role), folder: box.id });
		this.notifications.title();
	}

	/** `enter`: by the keyboard, which goes on in the message then. */
	openMessage(email, enter = false) {
		// A draft is there to be gone on with.
		const drafts = this.store.mailboxes.get(this.folder)?.role === 'drafts';
		if (drafts && email.keywords.$draft) {
			this.list.openThread = null;
			this.editDraft(email);
			return;
		}
		this.reader.takesFocus = enter;
		this.go({ ...this.here, thread: email.threadId });
	}

	showThread(thread) {
		if (this.list.openThread !== thread) {
			this.list.openThread = thread;
			this.list.list.redraw();
		}
		this.reader.open(thread);
	}

	closeThread() {
		if (!this.reader.threadId) return;
		this.list.openThread = null;
		this.list.list.redraw();
		this.reader.close();
		byId('list').focus({ preventScroll: true });
	}

	back() {
		if (this.reader.threadId) this.go(this.here);
		else if (this.place === 'search') this.go({ folder: this.store.byRole('inbox')?.id });
	}

	escape() {
		if (document.body.classList.contains('folders-open')) this.toggleFolders(false);
		else if (this.composer) this.composer.close();
		else if (this.list.selected.size) this.list.selectNone();
		else this.back();
	}

	focusFolders() {
		this.toggleFolders(true);
		(byId('folder-list').querySelector('[aria-current]') ?? byId('folder-list').querySelector('button'))?.focus();
	}

	// -- what happens to messages

	/** The buttons for the messages behind `rows()`. */
	tools(rows) {
		const role = this.store.mailboxes.get(this.folder)?.role;
		return [
			iconButton('archive', t('doArchive'), () => this.archive(rows()), { 'data-key': 'e' }),
			iconButton('trash', role === 'trash' ? t('doDestroy') : t('doDelete'), () => this.trash(rows()), { 'data-key': '#' }),
			role === 'junk' ? iconButton('inbox', t('doNotJunk'), () => this.notJunk(rows())) : iconButton('junk', t('junk'), () => this.junk(rows()), { 'data-key': '!' }),
			iconButton('unread', t('doUnread'), () => this.toggleRead(rows())),
			iconButton('star', t('doFlag'), () => this.toggleFlag(rows())),
			iconButton('move', t('doMove'), (event) => this.chooseFolder(rows(), event.currentTarget), { 'aria-haspopup': 'menu', 'aria-expanded': 'false' }),
		];
	}

	messages(rows) {
		return this.list.messages(rows);
	}

	async attempt(promise) {
		try {
			await promise;
		} catch (error) {
			this.failed(error);
			this.list.view?.reload();
		}
	}

	/** All of a row's messages that are in this folder go to another. */
	async moveTo(rows, to, keywords) {
		const ids = this.messages(rows);
		if (!ids.length || !to || (to === this.folder && this.place === 'folder')) return;
		this.advance(rows);
		const done = this.actions.move(ids, this.place === 'folder' ? this.folder : null, to, keywords);
		if (this.place === 'folder') this.list.remove(rows);
		await this.attempt(done);
		this.sync();
	}

	/** What is open leaves: the next one is at the cursor; the reader closes. */
	advance(rows) {
		const open = this.list.openThread;
		if (open && rows.some((id) => this.store.emails.get(id)?.threadId === open)) {
			this.list.openThread = null;
			this.go(this.here);
		}
	}

	withRole(role) {
		const box = this.store.byRole(role);
		if (!box) notice(t('noFolder', { folder: t(role) }));
		return box?.id;
	}

	archive(rows = this.list.rows()) {
		return this.moveTo(rows, this.withRole('archive'));
	}

	junk(rows = this.list.rows()) {
		return this.moveTo(rows, this.withRole('junk'), { $junk: true, $notjunk: null });
	}

	notJunk(rows = this.list.rows()) {
		return this.moveTo(rows, this.withRole('inbox'), { $junk: null, $notjunk: true });
	}

	async trash(rows = this.list.rows()) {
		const role = this.place === 'folder' && this.store.mailboxes.get(this.folder)?.role;
		if (role !== 'trash') return this.moveTo(rows, this.withRole('trash'));
		const ids = this.messages(rows);
		if (!ids.length || !(await sure(t('doDestroy'), t('sureDestroy', { n: ids.length }), t('doDestroy')))) return undefined;
		this.advance(rows);
		const done = this.actions.destroy(ids);
		this.list.remove(rows);
		await this.attempt(done);
		return this.sync();
	}

	/** A menu of the folders; the chosen one gets the messages. */
	chooseFolder(rows = this.list.rows(), button = byId(byId('list-tools').hidden ? 'list-head' : 'list-tools')) {
		if (!rows.length) return;
		openMenu(button, tree(this.store.mailboxes).filter(({ box }) => box.id !== this.folder || this.place !== 'folder')
			.map(({ box, depth }) => ({ label: `${'\u2003'.repeat(depth)}${folderName(box)}`, act: () => this.moveTo(rows, box.id) })));
	}

	flagOne(email) {
		return this.attempt(this.actions.flag([email.id], '$flagged', !email.keywords.$flagged)).then(() => this.sync());
	}

	trashOne(email) {
		const trash = this.withRole('trash');
		if (trash) this.attempt(this.actions.move([email.id], null, trash)).then(() => this.sync());
	}

	/** This message and what came after it will be read later. */
	unreadFrom(email) {
		const ids = this.reader.members().filter((one) => one.receivedAt >= email.receivedAt).map((one) => one.id);
		for (const id of ids) if (this.reader.messages.get(id)) this.reader.messages.get(id).keepUnread = true;
		this.attempt(this.actions.flag(ids, '$seen', false)).then(() => this.sync());
		this.back();
	}

	takeBack() {
		takeBack();
	}

	isOwn(address) {
		return this.store.identities.some((identity) => same(identity.email, address)) || same(this.jmap.session.username, address);
	}

	async unsubscribe(email) {
		const way = wayOut(email);
		if (!way || !(await sure(t('unsubscribe'), t(`unsubscribe_${way.kind}`, { address: way.address }), t('unsubscribe')))) return;
		if (way.kind === 'page') window.open(way.address, '_blank', 'noopener,noreferrer');
		else if (way.kind === 'mail') this.composeTo(way.address);
		else await this.attempt(click(way.address, email.id).then(() => notice(t('unsubscribed'))));
	}

	composeTo(address) {
		this.compose(mailto(address));
	}

	// -- writing

	/** One message is written at a time; another one that is open is kept as a draft first. */
	async newComposer() {
		const parts = await later().catch((error) => this.failed(error));
		if (this.composer) await this.composer.close();
		if (this.composer || !parts) return null;
		this.composer = new parts.Composer(this);
		return this.composer;
	}

	async compose(fields) {
		(await this.newComposer())?.write(fields);
	}

	/** To the message that is read, or to the one at the cursor of the list. */
	async reply(kind, email = this.reader.current() ?? this.list.current()) {
		const whole = email && (await this.whole(email.id));
		if (whole) (await this.newComposer())?.answer(whole, kind);
	}

	/** A message with its text. */
	async whole(id) {
		const known = this.store.emails.get(id);
		if (known?.bodyValues) return known;
		try {
			const got = await this.jmap.call('Email/get', { ids: [id], ...WHOLE });
			this.store.takeEmails(got.list);
			return got.list[0];
		} catch (error) {
			this.failed(error);
			return null;
		}
	}

	async editDraft({ id }) {
		const whole = await this.whole(id);
		if (whole) (await this.newComposer())?.resume(whole);
	}

	settings() {
		return later().then(({ settings }) => settings(this)).catch((error) => this.failed(error));
	}

	async flag(rows, keyword, on) {
		await this.attempt(this.actions.flag(this.messages(rows), keyword, on));
		this.sync();
	}

	toggleFlag(rows = this.list.rows()) {
		const on = !this.messages(rows).some((id) => this.store.emails.get(id)?.keywords.$flagged);
		// Of a thread, the newest carries the flag.
		return this.attempt(this.actions.flag(on ? rows : this.messages(rows), '$flagged', on)).then(() => this.sync());
	}

	toggleRead(rows = this.list.rows()) {
		const seen = this.messages(rows).some((id) => !this.store.emails.get(id)?.keywords.$seen);
		return this.flag(rows, '$seen', seen);
	}

	// -- the rest

	/** `quiet`: nobody asked for it, so nobody is told that it didn't work. Says whether the server was reached. */
	async sync(quiet = false) {
		try {
			await this.store.sync();
			if (this.isOffline) this.connection(true);
			return true;
		} catch (error) {
			if (!quiet || error.kind === 'login') this.failed(error);
			return error.kind !== 'network';
		}
	}

	async failed(error, view) {
		if (view && (await this.unreachable(error, view))) return;
		// Log in again; but not while something is written, which would be lost with the page.
		if (error.kind === 'login' && this.composer) notice(t('loggedOut'), null, 0);
		else if (error.kind === 'login') location.reload();
		else notice(error.kind === 'network' ? t('noNetwork') : t('failed', { detail: error.message }));
	}

	async leave() {
		// First what is kept: once the session is over, whatever is asked leads away from here.
		await this.offline.end();
		await logOut();
		location.hash = '';
		location.reload();
	}
}
