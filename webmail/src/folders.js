// The pane of folders: roles first, then names, children below their parents, with counts; a target for dragged
// messages. It chooses nothing itself: `open(id)` and `drop(id)` are told.

import { byId, el, icon } from './dom.js';
import { t } from './texts.js';

const order = ['inbox', 'flagged', 'important', 'drafts', 'sent', 'archive', 'all', 'junk', 'trash'];
const drawings = { inbox: 'inbox', drafts: 'drafts', sent: 'sent', archive: 'archive', junk: 'junk', trash: 'trash', flagged: 'star' };

/** As it is called: roles have names in the reader's language. */
export function folderName(box) {
	return box.role && order.includes(box.role) ? t(box.role) : box.name;
}

/** [{box, depth}] in the order of the pane. */
export function tree(mailboxes) {
	const children = new Map();
	for (const box of mailboxes.values()) {
		const parent = box.parentId && mailboxes.has(box.parentId) ? box.parentId : null;
		children.set(parent, [...(children.get(parent) ?? []), box]);
	}
	const rank = (box) => (box.role && order.includes(box.role) ? order.indexOf(box.role) : order.length);
	const out = [];
	const walk = (parent, depth) => {
		const boxes = children.get(parent) ?? [];
		boxes.sort((a, b) => rank(a) - rank(b) || a.sortOrder - b.sortOrder || a.name.localeCompare(b.name));
		for (const box of boxes) {
			out.push({ box, depth });
			if (depth < 20) walk(box.id, depth + 1);
		}
	};
	walk(null, 0);
	return out;
}

export class Folders {
	constructor(store, { open, drop }) {
		Object.assign(this, { store, open, drop });
		this.list = byId('folder-list');
		this.current = null;
		store.addEventListener('mailboxes', () => this.draw());
	}

	choose(id) {
		this.current = id;
		this.draw();
	}

	draw() {
		if (this.frame) return;
		this.frame = requestAnimationFrame(() => {
			this.frame = 0;
			const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
			this.list.replaceChildren(...tree(this.store.mailboxes).map(({ box, depth }) => this.item(box, depth)));
			if (focused) this.list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
		});
	}

	item(box, depth) {
		const count = box.role === 'drafts' ? box.totalEmails : box.unreadEmails;
		const counted = count && box.role !== 'trash' && box.role !== 'sent';
		const button = el('button', {
			class: `folder depth-${Math.min(depth, 5)}`, 'data-id': box.id, 'aria-current': box.id === this.current ? 'page' : null,
			onclick: () => this.open(box.id),
			ondragover: (event) => {
				if (!event.dataTransfer.types.includes('application/x-postrider')) return;
				event.preventDefault();
				event.dataTransfer.dropEffect = 'move';
				button.classList.add('over');
			},
			ondragleave: () => button.classList.remove('over'),
			ondrop: (event) => {
				event.preventDefault();
				button.classList.remove('over');
				this.drop(box.id);
			},
		},
		icon(drawings[box.role] ?? 'folder'),
		el('span', { class: 'name', dir: 'auto' }, folderName(box)),
		counted ? el('span', { class: 'count' }, el('span', { 'aria-hidden': 'true' }, count.toLocaleString()),
			el('span', { class: 'unseen' }, box.role === 'drafts' ? t('messageCount', { n: count }) : t('unreadCount', { n: count }))) : null);
		if (box.role !== 'drafts' && counted) button.classList.add('has-unread');
		return el('li', {}, button);
	}
}
