// The keyboard: one table of keys, what each does and what it is called; `?` shows it. Keys of one letter do nothing while
// something is typed into, and where a dialog is open.

import { byId, el } from './dom.js';
import { ask } from './notice.js';
import { t } from './texts.js';

const SEQUENCE = 1500; // ms between g and its second key

export class Keys {
	constructor(app) {
		this.app = app;
		const { list } = app;
		/** [keys, name of the text, what it does]; a group of two letters is typed one after the other. */
		this.table = [
			['j', 'keyNext', () => this.step(1)],
			['k', 'keyPrevious', () => this.step(-1)],
			['Enter', 'keyOpen', () => list.open(true)],
			['u', 'keyBack', () => app.back()],
			['x', 'select', () => list.toggle()],
			['* a', 'selectAll', () => list.selectAll()],
			['* n', 'selectNone', () => list.selectNone()],
			['e', 'doArchive', () => app.archive()],
			['#', 'doDelete', () => app.trash()],
			['!', 'keyJunk', () => (app.store.mailboxes.get(app.folder)?.role === 'junk' ? app.notJunk() : app.junk())],
			['s', 'doFlag', () => app.toggleFlag()],
			['Shift+U', 'doUnread', () => app.toggleRead()],
			['v', 'doMove', () => app.chooseFolder()],
			['z', 'undo', () => app.takeBack()],
			['c', 'compose', () => app.compose()],
			['r', 'reply', () => app.reply('reply')],
			['a', 'replyAll', () => app.reply('all')],
			['f', 'forward', () => app.reply('forward')],
			['n', 'keyNextInThread', () => app.reader?.step(1)],
			['p', 'keyPreviousInThread', () => app.reader?.step(-1)],
			['/', 'searchMail', () => byId('search').focus()],
			...Object.entries({ i: 'inbox', d: 'drafts', t: 'sent', a: 'archive', j: 'junk', b: 'trash' }).map(([key, role]) => [`g ${key}`, role, () => this.go(role)]),
			['g f', 'keyGoFolders', () => app.focusFolders()],
			['g l', 'keyGoList', () => byId('list').focus()],
			['g s', 'settings', () => app.settings()],
			['?', 'keys', () => this.help()],
		];
		this.byKey = new Map(this.table.map(([keys, , act]) => [keys, act]));
		document.addEventListener('keydown', (event) => this.pressed(event));
		byId('list').addEventListener('keydown', (event) => this.inList(event));
	}

	step(by) {
		this.app.list.step(by);
		if (document.body.classList.contains('reading')) this.app.list.open();
	}

	go(role) {
		const box = this.app.store.byRole(role);
		if (box) this.app.go({ folder: box.id });
	}

	/** Also called for keys pressed inside a message's frame. */
	pressed(event) {
		if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
		if (document.querySelector('dialog[open]')) return;
		const typing = event.target.closest?.('input, textarea, select, [contenteditable], [role=textbox], .composer, [role=menu]');
		if (event.key === 'Escape' && !typing) {
			this.app.escape();
			return;
		}
		if (typing) return;
		// Buttons and links have their own Enter.
		if (event.key === 'Enter' && event.target.closest?.('button, a, summary, [role=listbox]')) return;
		let key = event.key === 'U' && event.shiftKey ? 'Shift+U' : event.key;
		if (this.first && Date.now() - this.firstAt < SEQUENCE) key = `${this.first} ${key}`;
		this.first = null;
		if (key === 'g' || key === '*') {
			[this.first, this.firstAt] = [key, Date.now()];
			event.preventDefault();
			return;
		}
		const act = this.byKey.get(key);
		if (!act) return;
		event.preventDefault();
		act();
	}

	/** The list is one stop of the focus; arrows move its cursor (ARIA: listbox). */
	inList(event) {
		if (event.ctrlKey || event.metaKey || event.altKey) {
			if (event.key !== 'a') return;
		}
		const { list } = this.app;
		const acts = {
			ArrowDown: () => list.step(1), ArrowUp: () => list.step(-1), PageDown: () => list.page(1), PageUp: () => list.page(-1),
			Home: () => list.moveTo(0), End: () => list.moveTo(Infinity), Enter: () => list.open(true), ' ': () => list.toggle(),
		};
		if (event.shiftKey && ['ArrowDown', 'ArrowUp'].includes(event.key)) {
			event.preventDefault();
			if (!list.selected.size) list.toggle();
			list.step(event.key === 'ArrowDown' ? 1 : -1);
			list.toggle(list.cursor.index, true);
			return;
		}
		const act = event.ctrlKey || event.metaKey ? () => list.selectAll() : acts[event.key];
		if (!act) return;
		event.preventDefault();
		act();
	}

	help() {
		const rows = this.table.map(([keys, name]) => el('div', {},
			el('dt', {}, ...keys.split(' ').flatMap((key, at) => (at ? [' ', el('kbd', {}, key)] : [el('kbd', {}, key)]))), el('dd', {}, t(name))));
		return ask(t('keys'), el('dl', { class: 'keys' }, ...rows), null, { wide: true });
	}
}
