// Making, renaming and deleting folders (Mailbox/set, RFC 8621 §2.5). A folder with mail in it is not deleted: the mail
// would go with it.

import { el } from './dom.js';
import { ask, notice, orNot, sure } from './notice.js';
import { folderName } from './folders.js';
import { t } from './texts.js';

async function name(title, value = '') {
	const field = el('input', { type: 'text', value, 'aria-label': t('name'), dir: 'auto' });
	const yes = await ask(title, field, orNot(t('save'), { check: () => field.value.trim() !== '' }));
	return yes === true ? field.value.trim() : null;
}

async function change(app, args) {
	try {
		await app.jmap.set('Mailbox/set', args);
	} catch (error) {
		throw error.kind === 'mailboxHasEmail' ? new Error(t('folderNotEmpty')) : error;
	}
	await app.sync();
}

const AT_ONCE = 500;

/** Destroys all of a folder, some at a time. */
async function empty(app, box) {
	for (;;) {
		const found = await app.jmap.call('Email/query', { filter: { inMailbox: box.id }, limit: AT_ONCE });
		if (!found.ids.length) break;
		const answer = await app.jmap.call('Email/set', { destroy: found.ids });
		if (!answer.destroyed?.length) throw new Error(Object.values(answer.notDestroyed ?? {})[0]?.type);
	}
	await app.sync();
}

/** The entries of the menu above the list. */
export function manageFolders(app) {
	const box = app.store.mailboxes.get(app.folder);
	const make = async (parentId) => {
		const chosen = await name(t('newFolder'));
		if (chosen) await app.attempt(change(app, { create: { box: { name: chosen, parentId } } }));
	};
	return [
		{ label: t('markAllRead'), act: () => app.flag(app.list.view.places.ids(), '$seen', true) },
		box && ['trash', 'junk'].includes(box.role) && box.totalEmails && {
			label: t('emptyThis'), act: async () => {
				if (await sure(t('emptyThis'), t('sureDestroy', { n: box.totalEmails }), t('doDestroy'))) await app.attempt(empty(app, box));
			},
		},
		{ label: t('newFolder'), act: () => make(null), separate: true },
		box?.myRights?.mayCreateChild && { label: t('newFolderIn'), act: () => make(box.id) },
		box && !box.role && box.myRights?.mayRename && {
			label: t('renameFolder'), act: async () => {
				const chosen = await name(t('renameFolder'), box.name);
				if (chosen) await app.attempt(change(app, { update: { [box.id]: { name: chosen } } }));
			},
		},
		box && !box.role && box.myRights?.mayDelete && {
			label: t('deleteFolder'), act: async () => {
				if (box.totalEmails) notice(t('folderNotEmpty'));
				else if (await sure(t('deleteFolder'), folderName(box), t('doDelete'))) {
					await app.attempt(change(app, { destroy: [box.id] }));
					app.go({ folder: app.store.byRole('inbox')?.id });
				}
			},
		},
	];
}
