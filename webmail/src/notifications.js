// New mail, told: in the title of the page, to who listens to it, and as the system's notification where the reader asked
// for it. It tells of the inbox only, and of nothing while the page is looked at.

import { byId } from './dom.js';
import { choose, chosen } from './choices.js';
import { folderName } from './folders.js';
import { shortName } from './addresses.js';
import { t } from './texts.js';

export class Notifications {
	constructor(app) {
		this.app = app;
		app.store.addEventListener('arrived', ({ detail }) => this.arrived(detail));
		app.store.addEventListener('mailboxes', () => this.title());
	}

	title() {
		const { app } = this;
		const unread = app.store.byRole('inbox')?.unreadEmails ?? 0;
		const here = app.place === 'search' ? t('search') : app.folder && app.store.mailboxes.has(app.folder) ? folderName(app.store.mailboxes.get(app.folder)) : '';
		document.title = `${unread ? `(${unread}) ` : ''}${here ? `${here} – ` : ''}${t('app')}`;
	}

	async choose(on) {
		const granted = on && globalThis.Notification && (await Notification.requestPermission()) === 'granted';
		choose('notify', Boolean(granted));
	}

	arrived(emails) {
		const inbox = this.app.store.byRole('inbox')?.id;
		const fresh = emails.filter((email) => email.mailboxIds[inbox] && !email.keywords.$seen && !email.keywords.$draft);
		if (!fresh.length) return;
		byId('announce').textContent = t('newMail', { n: fresh.length });
		if (!document.hidden || !chosen('notify') || globalThis.Notification?.permission !== 'granted') return;
		for (const email of fresh.slice(0, 3)) {
			const told = new Notification(shortName(email.from?.[0]) || t('noSender'), { body: email.subject || t('noSubject'), tag: email.id, icon: 'icon.svg' });
			told.onclick = () => {
				window.focus();
				this.app.go({ folder: inbox, thread: email.threadId });
				told.close();
			};
		}
	}
}
