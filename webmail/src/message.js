// One message as the reader shows it: who, when, to whom; what stands above its text (pictures, lists, invitations); the
// text; what is attached. It asks for nothing but blobs; what its buttons do is told to `app`.

import { byId, el, icon, iconButton } from './dom.js';
import { longDate, shortDate, size, spoken, t } from './texts.js';
import { shortName, written } from './addresses.js';
import { safeRaster, sanitise } from './sanitise.js';
import { Frame } from './frame.js';
import { linked, plainText } from './plain.js';
import { odd } from './links.js';
import { ask } from './notice.js';
import { moreButton } from './menu.js';
import { wayOut } from './unsubscribe.js';
import { chosen, isDark } from './choices.js';
import { ROW } from './store.js';
import { canTell, question, showJourney } from './journey.js';

/** A document that loads nothing: pictures are asked for once, in the frame. */
const apart = document.implementation.createHTMLDocument('');

/** What reading a message needs. */
export const WHOLE = {
	properties: [...ROW, 'cc', 'bcc', 'replyTo', 'sender', 'messageId', 'inReplyTo', 'references', 'sentAt', 'textBody', 'htmlBody', 'attachments', 'bodyValues',
		'header:List-Unsubscribe:asURLs', 'header:List-Unsubscribe-Post:asText', 'header:Mail-Followup-To:asAddresses', 'header:Mail-Reply-To:asAddresses'],
	bodyProperties: ['partId', 'blobId', 'size', 'name', 'type', 'charset', 'disposition', 'cid'],
	fetchHTMLBodyValues: true,
	fetchTextBodyValues: true,
	maxBodyValueBytes: 2_000_000,
};

export class Message {
	constructor(app, email, { folded }) {
		Object.assign(this, { app, email, images: chosen('images') });
		this.element = el('article', { class: 'message', 'data-id': email.id, 'aria-label': `${shortName(email.from?.[0])}, ${longDate(email.receivedAt)}` });
		this.urls = [];
		this.element.addEventListener('click', (event) => this.follow(event));
		this.fold(folded);
	}

	get whole() {
		return Boolean(this.email.textBody && this.email.bodyValues);
	}

	fold(folded) {
		this.folded = folded;
		this.element.classList.toggle('folded', folded);
		this.draw();
	}

	take(email) {
		const before = this.email;
		this.email = email;
		const drawn = this.folded || this.drawn;
		if (drawn && before.keywords === email.keywords) return;
		if (drawn && !this.folded) this.element.querySelector('.message-head')?.replaceWith(this.head());
		else this.draw();
	}

	forget() {
		for (const url of this.urls) URL.revokeObjectURL(url);
	}

	draw() {
		if (this.folded) {
			this.drawn = false;
			this.element.replaceChildren(this.foldedHead());
		} else if (!this.whole) {
			this.element.replaceChildren(this.head(), el('p', { class: 'empty' }, t('loading')));
		} else {
			this.drawn = true;
			this.forget();
			const parts = [this.head(), ...this.banners(), this.body(), this.attached()];
			this.element.replaceChildren(...parts.filter(Boolean));
		}
	}

	foldedHead() {
		const { email } = this;
		return el('button', { class: 'folded-head', 'aria-expanded': 'false', onclick: () => this.app.reader.unfold(this) },
			el('strong', { dir: 'auto' }, shortName(email.from?.[0]) || t('noSender')), el('span', { class: 'preview', dir: 'auto' }, email.preview),
			email.hasAttachment ? icon('clip') : '', el('span', { class: 'date' }, shortDate(email.receivedAt)));
	}

	head() {
		const { email, app } = this;
		const from = email.from?.[0];
		const details = el('details', { class: 'people' },
			el('summary', { dir: 'auto' }, t('toMe', { names: [...(email.to ?? []), ...(email.cc ?? [])].map((one) => (app.isOwn(one.email) ? t('me') : shortName(one))).join(', ') || '–' })),
			el('dl', {}, ...this.field('from', email.from), ...this.field('to', email.to), ...this.field('cc', email.cc), ...this.field('bcc', email.bcc),
				...this.field('replyTo', email.replyTo), el('dt', {}, t('date')), el('dd', {}, longDate(email.sentAt ?? email.receivedAt))));
		const draft = email.keywords.$draft;
		return el('header', { class: 'message-head' },
			el('div', { class: 'sender' },
				el('p', {}, el('strong', { dir: 'auto' }, shortName(from) || t('noSender')), from?.name ? el('span', { class: 'soft' }, ` <${from.email}>`) : '',
					draft ? el('span', { class: 'tag' }, t('draft')) : ''), details),
			el('div', { class: 'message-side' }, el('time', { class: 'date', datetime: email.receivedAt }, longDate(email.receivedAt)),
				el('div', { class: 'tools' },
					draft ? iconButton('pen', t('editDraft'), () => app.editDraft(email)) : '',
					canTell(app, email) ? iconButton('way', question(app, email), () => showJourney(app, email)) : '',
					iconButton('star', email.keywords.$flagged ? t('unflag') : t('doFlag'), () => app.flagOne(email), { 'aria-pressed': String(Boolean(email.keywords.$flagged)) }),
					iconButton('reply', t('reply'), () => app.reply('reply', email)),
					iconButton('replyall', t('replyAll'), () => app.reply('all', email)),
					iconButton('forward', t('forward'), () => app.reply('forward', email)),
					moreButton(() => this.menu()))));
	}

	field(name, addresses) {
		if (!addresses?.length) return [];
		return [el('dt', {}, t(name)), el('dd', { dir: 'auto' }, addresses.map(written).join(', '))];
	}

	menu() {
		const { app, email } = this;
		return [
			{ label: t('markUnreadFrom'), act: () => app.unreadFrom(email) },
			{ label: t('print'), act: () => this.print() },
			{ label: t('source'), act: () => this.source() },
			{ label: t('downloadMessage'), act: () => this.save({ blobId: email.blobId, name: `${(email.subject || 'message').replace(/[^\p{L}\p{N} ._-]+/gu, '_').slice(0, 80)}.eml`, type: 'message/rfc822' }) },
			{ label: t('doDeleteOne'), act: () => app.trashOne(email), separate: true },
			wayOut(email) && { label: t('unsubscribe'), act: () => app.unsubscribe(email), separate: true },
		];
	}

	// -- above the text

	banners() {
		const { email, app } = this;
		this.bannerBox = el('div', { class: 'banners' });
		if (wayOut(email)) {
			this.bannerBox.append(el('div', { class: 'banner' }, el('span', {}, t('isList')), el('button', { class: 'link', onclick: () => app.unsubscribe(email) }, t('unsubscribe'))));
		}
		for (const part of email.attachments ?? []) if (/^text\/calendar$/i.test(part.type) && part.size < 500_000) this.invitation(part);
		app.sends?.banner(email, this.bannerBox);
		return [this.bannerBox];
	}

	async invitation(part) {
		const box = this.bannerBox;
		const answer = await fetch(this.app.jmap.download(part.blobId, part.name, part.type)).catch(() => null);
		const { events, span } = await import('./invitation.js');
		const found = answer?.ok ? events(await answer.text()) : [];
		for (const event of found) {
			const row = (name, value) => (value ? [el('dt', {}, t(name)), el('dd', { dir: 'auto' }, ...linked(value))] : []);
			const when = span(event, spoken());
			const people = event.attendees.map((one) => `${one.name || one.email}${one.status === 'ACCEPTED' ? ' ✓' : one.status === 'DECLINED' ? ' ✗' : ''}`).join(', ');
			box.append(el('section', { class: 'invitation', 'aria-label': t('invitation') },
				el('h3', { dir: 'auto' }, event.method === 'CANCEL' || event.status === 'CANCELLED' ? `${t('cancelled')}: ` : '', event.summary || t('invitation')),
				el('dl', {}, ...row('when', when), ...row('repeats', event.repeats), ...row('where', event.location), ...row('from', event.organizer && (event.organizer.name || event.organizer.email)), ...row('attendees', people)),
				event.description ? el('p', { class: 'plain', dir: 'auto' }, ...linked(event.description)) : ''));
		}
	}

	// -- the text

	body() {
		const { email } = this;
		const parts = email.htmlBody?.length ? email.htmlBody : email.textBody ?? [];
		const box = el('div', { class: 'message-body' });
		for (const part of parts) {
			const value = email.bodyValues?.[part.partId];
			if (/^text\/html$/i.test(part.type) && value) box.append(this.html(value.value));
			else if (/^text\//i.test(part.type) && value) box.append(plainText(value.value));
			else if (safeRaster(part.type)) box.append(this.inline(part));
			if (value?.isTruncated) box.append(el('p', { class: 'soft' }, t('truncated')));
		}
		if (!box.childNodes.length) box.append(el('p', { class: 'soft' }, t('noText')));
		return box;
	}

	html(text) {
		const used = (this.usedCids = new Set());
		const frame = new Frame(t('messageText'), { remote: this.images });
		const found = sanitise(text, {
			into: apart,
			image: (kind, address, node) => {
				if (kind === 'data') return address;
				if (kind === 'remote') return this.images ? `${location.origin}/proxy?url=${encodeURIComponent(address)}` : null;
				const cid = decode(address.slice(4));
				const part = (this.email.attachments ?? []).find((one) => one.cid === cid);
				if (part && safeRaster(part.type)) {
					used.add(part.blobId);
					this.blob(part).then((url) => url && node.setAttribute('src', url));
				}
				return null;
			},
		});
		// A message that sets no colours follows the page's; one that does was made for white paper.
		const own = found.coloured;
		frame.fill(found.nodes, { css: found.css, className: own && isDark() ? 'paper' : '', dark: isDark() && !own }).then(() => this.listen(frame));
		frame.element.classList.toggle('paper', own && isDark());
		if (found.remote && !this.images) {
			const banner = el('div', { class: 'banner' }, icon('image'), el('span', {}, t('imagesOff', { n: found.remote })), el('button', {
				class: 'link', onclick: () => {
					this.images = true;
					this.draw();
				},
			}, t('showImages')));
			this.bannerBox?.append(banner);
		}
		return frame.element;
	}

	/** Keys and links inside the frame are this page's business. */
	listen(frame) {
		const inside = frame.document;
		if (!inside) return;
		inside.addEventListener('keydown', (event) => this.app.keys.pressed(event));
		inside.addEventListener('click', (event) => this.follow(event));
	}

	follow(event) {
		const link = event.target.closest?.('a[href]');
		if (!link) return;
		if (link.protocol === 'mailto:') {
			event.preventDefault();
			this.app.composeTo(link.href);
			return;
		}
		const why = odd(link.textContent, link.href);
		if (!why) return;
		event.preventDefault();
		ask(t('oddLink'), [el('p', {}, t(`oddLink_${why}`)), el('p', { class: 'address' }, link.href)], [{ label: t('cancel'), value: false, main: true }, { label: t('openAnyway'), value: true }])
			.then((yes) => yes === true && window.open(link.href, '_blank', 'noopener,noreferrer'));
	}

	inline(part) {
		const image = el('img', { class: 'inline-image', alt: part.name ?? '' });
		this.blob(part).then((url) => url && image.setAttribute('src', url));
		return image;
	}

	/** An image of the message as a blob: URL; only kinds that are nothing but images. */
	async blob(part) {
		try {
			const answer = await fetch(this.app.jmap.download(part.blobId, part.name, part.type));
			if (!answer.ok) return null;
			const url = URL.createObjectURL(new Blob([await answer.arrayBuffer()], { type: part.type }));
			this.urls.push(url);
			return url;
		} catch {
			return null;
		}
	}

	// -- what is attached

	attached() {
		const parts = (this.email.attachments ?? []).filter((part) => !(this.usedCids?.has(part.blobId) && part.disposition !== 'attachment'));
		if (!parts.length) return null;
		return el('section', { class: 'attachments', 'aria-label': t('attachments') }, el('ul', {}, ...parts.map((part) => el('li', {},
			el('button', { class: 'attachment', onclick: () => this.save(part) }, icon(/^image\//i.test(part.type) ? 'image' : 'clip'),
				el('span', { dir: 'auto' }, part.name || part.type), el('span', { class: 'soft' }, size(part.size)))))));
	}

	/** Saves; never opens: what a sender attached is not shown in this page's place. */
	save(part) {
		const link = el('a', { href: this.app.jmap.download(part.blobId, part.name || 'attachment', part.type), download: part.name || 'attachment' });
		document.body.append(link);
		link.click();
		link.remove();
	}

	async source() {
		const answer = await fetch(this.app.jmap.download(this.email.blobId, 'message.eml', 'message/rfc822')).catch(() => null);
		if (!answer?.ok) {
			this.app.failed(new Error(t('noNetwork')));
			return;
		}
		const text = new TextDecoder('latin1').decode((await answer.arrayBuffer()).slice(0, 1_000_000));
		await ask(t('source'), el('pre', { class: 'source' }, text), null, { wide: true });
	}

	print() {
		for (const other of byId('reader').querySelectorAll('.message')) other.classList.toggle('not-printed', other !== this.element);
		window.print();
		for (const other of byId('reader').querySelectorAll('.message')) other.classList.remove('not-printed');
	}
}

function decode(text) {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}
