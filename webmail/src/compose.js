// The composer: a window over the page in which one message is written. It holds the fields and what is attached; the text
// is the editor's, keeping it the draft's, sending it the sender's business.

import { byId, el, icon, iconButton, set, show } from './dom.js';
import { Draft } from './draft.js';
import { Editor, lines, paragraphs } from './editor.js';
import { Recipients } from './recipients.js';
import { moreButton } from './menu.js';
import { ask, notice, orNot, sure } from './notice.js';
import { parse, plausible, same, shortName } from './addresses.js';
import { forwardHead, forwardSubject, identityFor, quoted, recipients, replySubject, textOf, threading } from './quote.js';
import { safeRaster, sanitise, trusted } from './sanitise.js';
import { longDate, size, t } from './texts.js';
import { choose, chosen } from './choices.js';

const inert = (html) => new DOMParser().parseFromString(trusted(html), 'text/html').body;

export class Composer {
	constructor(app) {
		this.app = app;
		this.attachments = []; // {name, type, size, blobId, cid?, upload?}
		this.identity = app.store.identities[0];
		const find = (typed) => app.contacts.find(typed);
		const changed = () => this.draft.touch();
		this.to = new Recipients('to', { find, changed });
		this.cc = new Recipients('cc', { find, changed });
		this.bcc = new Recipients('bcc', { find, changed });
		this.draft = new Draft(app.store, { content: () => this.content(), told: (state) => this.told(state) });
	}

	// -- ways to begin

	/** A new message; `fields` are those of a mailto: address. */
	async write({ to = '', cc = '', subject = '', body = '' } = {}) {
		this.to.set(parse(to));
		this.cc.set(parse(cc));
		await this.open({ title: t('newMessage'), subject, text: `${body}${this.signature('\n\n')}` });
		if (to) this.editor.focus();
		else this.to.input.focus();
	}

	async answer(email, kind) {
		const { identities } = this.app.store;
		this.identity = identityFor(email, identities) ?? this.identity;
		const forward = kind === 'forward';
		if (!forward) {
			const people = recipients(email, kind, [...identities.map((one) => one.email), this.app.jmap.session.username]);
			this.to.set(people.to);
			this.cc.set(people.cc);
			Object.assign(this, threading(email));
		} else {
			this.attachments = (email.attachments ?? []).map((part) => ({ ...part, cid: part.cid || undefined }));
		}
		this.answered = { id: email.id, keyword: forward ? '$forwarded' : '$answered' };
		const date = longDate(email.sentAt ?? email.receivedAt);
		const html = email.htmlBody?.some((part) => /html/i.test(part.type)) && !chosen('plain');
		const text = textOf(email, inert);
		const head = forward ? `---------- ${t('forwarded')} ----------\n${forwardHead(email, date).map(([name, value]) => `${t(name)}: ${value}`).join('\n')}`
			: t('wrote', { date, name: shortName(email.from?.[0]) });
		const body = forward ? `\n\n${head}\n\n${text.trimEnd()}` : `\n\n${head}\n${quoted(text)}`;
		await this.open({
			title: forward ? t('forward') : t('reply'), subject: forward ? forwardSubject(email.subject) : replySubject(email.subject),
			text: body + this.signature('\n\n'), nodes: html ? this.quotedNodes(email, head, forward) : null,
		});
		if (forward) this.to.input.focus();
		else this.editor.focus();
	}

	/** A stored draft, to go on with. */
	async resume(email) {
		this.identity = this.app.store.identities.find((one) => same(one.email, email.from?.[0]?.email)) ?? this.identity;
		this.draft.id = email.id;
		this.to.set(email.to);
		this.cc.set(email.cc);
		this.bcc.set(email.bcc);
		this.inReplyTo = email.inReplyTo;
		this.references = email.references;
		this.attachments = (email.attachments ?? []).map((part) => ({ ...part, cid: part.cid || undefined }));
		const html = email.htmlBody?.find((part) => /html/i.test(part.type));
		const value = html && email.bodyValues?.[html.partId]?.value;
		const nodes = value ? this.foreign(value) : null;
		await this.open({ title: t('draft'), subject: email.subject, text: textOf(email, inert), nodes, rich: Boolean(value) });
		this.editor.focus();
	}

	// -- the text to begin with

	signature(before) {
		const text = this.identity?.textSignature?.trim();
		return text ? `${before}-- \n${text}` : '';
	}

	signatureNodes() {
		const text = this.identity?.textSignature?.trim();
		const box = document.createElement('div');
		box.className = 'signature';
		const html = this.identity?.htmlSignature?.trim();
		if (html) box.append(...lines('-- ', document), this.foreign(html));
		else if (text) box.append(...lines(`-- \n${text}`, document));
		return box;
	}

	quotedNodes(email, head, forward) {
		const out = document.createDocumentFragment();
		out.append(...lines('\n', document), ...lines(head, document));
		const block = document.createElement(forward ? 'div' : 'blockquote');
		for (const part of email.htmlBody) {
			const value = email.bodyValues?.[part.partId]?.value;
			if (value === undefined) continue;
			block.append(/html/i.test(part.type) ? this.foreign(value, email) : paragraphs(value, document));
		}
		out.append(block, ...lines('', document), this.signatureNodes());
		return out;
	}

	/** HTML from outside as nodes for the editor's frame; its images of the same message come along. */
	foreign(html, email = null) {
		return sanitise(html, {
			image: (kind, address, node) => {
				if (kind !== 'cid') return kind === 'data' ? address : null;
				const cid = address.slice(4);
				const part = [...this.attachments, ...(email?.attachments ?? [])].find((one) => one.cid === cid);
				if (!part || !safeRaster(part.type)) return null;
				if (!this.attachments.some((one) => one.cid === cid)) this.attachments.push({ ...part });
				node.dataset.cid = cid;
				fetch(this.app.jmap.download(part.blobId, part.name, part.type)).then((answer) => answer.arrayBuffer())
					.then((data) => node.setAttribute('src', URL.createObjectURL(new Blob([data], { type: part.type })))).catch(() => {});
				return null;
			},
		}).nodes;
	}

	// -- the window

	async open({ title, subject, text, nodes = null, rich = !chosen('plain') }) {
		const key = (event) => this.pressed(event);
		this.editor = new Editor({ rich: rich || Boolean(nodes), changed: () => this.draft.touch(), files: (files, inline) => this.attach(files, inline), image: () => this.pick(true), key });
		this.subject = el('input', { type: 'text', id: 'compose-subject', value: subject ?? '', dir: 'auto', oninput: () => this.draft.touch() });
		const { identities } = this.app.store;
		this.from = el('select', { id: 'compose-from', onchange: () => this.changeIdentity() }, ...identities.map((one) => el('option', { value: one.id }, one.name ? `${one.name} <${one.email}>` : one.email)));
		this.from.value = this.identity?.id ?? '';
		this.list = el('ul', { class: 'uploads', 'aria-label': t('attachments') });
		this.status = el('span', { class: 'soft draft-state', role: 'status' });
		show(this.cc.element, this.cc.addresses.length > 0);
		show(this.bcc.element, this.bcc.addresses.length > 0);
		this.more = el('button', {
			class: 'link', onclick: () => {
				show(this.cc.element, true);
				show(this.bcc.element, true);
				this.more.hidden = true;
				this.cc.input.focus();
			},
		}, t('ccBcc'));
		this.element = el('section', { class: 'composer', role: 'dialog', 'aria-labelledby': 'compose-title', onkeydown: key },
			el('div', { class: 'composer-head' }, el('h2', { id: 'compose-title' }, title), this.status, iconButton('close', t('closeDraft'), () => this.close())),
			el('div', { class: 'composer-fields' },
				identities.length > 1 ? el('div', { class: 'field' }, el('label', { for: 'compose-from' }, t('from')), this.from) : '',
				el('div', { class: 'with-more' }, this.to.element, this.more), this.cc.element, this.bcc.element,
				el('div', { class: 'field' }, el('label', { for: 'compose-subject' }, t('subject')), this.subject)),
			this.editor.holder, this.list,
			el('div', { class: 'composer-foot tools' },
				el('button', { class: 'main send', onclick: () => this.send() }, t('send')),
				iconButton('clock', t('sendLater'), () => this.schedule()),
				iconButton('clip', t('attach'), () => this.pick(false)),
				moreButton(() => [{ label: this.editor.rich ? t('makePlain') : t('makeRich'), act: () => this.changeKind() }]),
				el('span', { class: 'space' }), iconButton('trash', t('discard'), () => this.discard())));
		this.dropping();
		byId('composers').replaceChildren(this.element);
		document.body.classList.add('composing');
		this.drawAttachments();
		await this.editor.begin({ text, nodes: nodes ?? (rich ? this.plainNodes(text) : null) });
	}

	plainNodes(text) {
		const signature = this.signature('\n\n');
		if (!signature || !text.endsWith(signature)) return paragraphs(text, document);
		const out = paragraphs(text.slice(0, -signature.length), document);
		out.append(...lines('', document), this.signatureNodes());
		return out;
	}

	told(state) {
		if (!this.status) return;
		this.status.textContent = state === 'saving' ? t('saving') : state === 'saved' ? t('draftSaved') : t('notSaved');
	}

	pressed(event) {
		if ((event.ctrlKey || event.metaKey) && event.key === 'Enter') {
			event.preventDefault();
			this.send();
		} else if (event.key === 'Escape' && !event.defaultPrevented && !document.querySelector('dialog[open], .menu')) {
			event.preventDefault();
			this.close();
		}
	}

	changeIdentity() {
		const before = this.identity?.textSignature?.trim() ?? '';
		this.identity = this.app.store.identities.find((one) => one.id === this.from.value);
		this.editor.replaceSignature(before, this.identity?.textSignature?.trim() ?? '');
		this.draft.touch();
	}

	async changeKind() {
		if (this.editor.rich && !(await sure(t('makePlain'), t('losesFormat')))) return;
		await this.editor.toggle();
		choose('plain', !this.editor.rich);
		this.editor.focus(false);
		this.draft.touch();
	}

	content() {
		const used = this.editor.cids();
		return {
			identity: this.identity, to: this.to.value(), cc: this.cc.value(), bcc: this.bcc.value(), subject: this.subject.value, inReplyTo: this.inReplyTo, references: this.references,
			text: this.editor.text(), html: this.editor.html(), attachments: this.attachments.filter((part) => part.blobId && (!part.cid || used.includes(part.cid))),
		};
	}

	// -- what is attached

	dropping() {
		const files = (event) => event.dataTransfer?.types.includes('Files');
		this.element.addEventListener('dragover', (event) => {
			if (!files(event)) return;
			event.preventDefault();
			this.element.classList.add('dropping');
		});
		this.element.addEventListener('dragleave', (event) => !this.element.contains(event.relatedTarget) && this.element.classList.remove('dropping'));
		this.element.addEventListener('drop', (event) => {
			this.element.classList.remove('dropping');
			if (!files(event)) return;
			event.preventDefault();
			this.attach([...event.dataTransfer.files], false);
		});
	}

	pick(inline) {
		const input = el('input', { type: 'file', multiple: true, accept: inline ? 'image/*' : null, hidden: true, class: 'file-picker', 'aria-label': t('attach'), onchange: () => {
			this.attach([...input.files], inline);
			input.remove();
		} });
		this.element.append(input);
		input.click();
	}

	attach(files, inline) {
		const most = this.app.jmap.limits.maxSizeUpload ?? 50_000_000;
		for (const file of files) {
			if (file.size > most) {
				notice(t('tooLarge', { name: file.name, size: size(most) }));
				continue;
			}
			const part = { name: file.name || 'image', type: file.type, size: file.size };
			if (inline && this.editor.rich && safeRaster(file.type)) part.cid = `${crypto.randomUUID()}@postrider`;
			part.upload = this.app.jmap.upload(file, (done) => {
				part.progress = done;
				if (part.bar) part.bar.value = done;
			});
			part.done = part.upload.promise.then((answer) => {
				part.blobId = answer.blobId;
				delete part.upload;
				if (part.cid) this.editor.insertImage({ cid: part.cid, url: URL.createObjectURL(file), name: part.name });
				this.draft.touch();
			}).catch((error) => {
				this.attachments = this.attachments.filter((other) => other !== part);
				if (error.kind !== 'aborted') notice(t('notUploaded', { name: part.name }));
			}).finally(() => this.drawAttachments());
			this.attachments.push(part);
		}
		this.drawAttachments();
	}

	drawAttachments() {
		this.list.replaceChildren(...this.attachments.filter((part) => !part.cid || part.upload).map((part) => {
			part.bar = part.upload ? el('progress', { max: '1', value: part.progress ?? 0, 'aria-label': t('uploading', { name: part.name }) }) : null;
			return el('li', {}, icon('clip'), el('span', { dir: 'auto', class: 'name' }, part.name), el('span', { class: 'soft' }, size(part.size ?? 0)), part.bar ?? '',
				iconButton('close', t('removeAddress', { name: part.name }), () => {
					part.upload?.abort();
					this.attachments = this.attachments.filter((other) => other !== part);
					this.drawAttachments();
					this.draft.touch();
				}));
		}));
	}

	// -- ways to end

	gone() {
		this.element.remove();
		document.body.classList.remove('composing');
		this.app.composer = null;
		byId('list').focus({ preventScroll: true });
	}

	/** Closes; what is written is kept as a draft. */
	async close() {
		try {
			await this.uploads();
			if (this.draft.dirty) {
				await this.draft.save();
				notice(t('draftSaved'));
			}
			this.gone();
			this.app.sync();
		} catch (error) {
			if (await sure(t('notSaved'), t('closeAnyway'))) this.gone();
			else this.app.failed(error);
		}
	}

	uploads() {
		return Promise.all(this.attachments.map((part) => part.done));
	}

	async discard() {
		const content = this.content();
		if ((content.text.trim() || content.attachments.length) && !(await sure(t('discard'), t('sureDiscard'), t('discard')))) return;
		this.gone();
		await this.app.attempt(this.draft.discard());
		this.app.sync();
	}

	/** What a careful friend would ask. */
	async ready() {
		const content = this.content();
		const all = [...content.to, ...content.cc, ...content.bcc];
		if (!all.length) {
			notice(t('noRecipients'));
			this.to.input.focus();
			return null;
		}
		const wrong = all.find((one) => !plausible(one.email));
		if (wrong) {
			notice(t('wrongAddress', { address: wrong.email }));
			return null;
		}
		if (!content.subject.trim() && !(await sure(t('noSubjectYet'), t('sendWithout'), t('send')))) return null;
		const own = content.text.split('\n').filter((line) => !line.startsWith('>')).join('\n');
		if (!content.attachments.length && /\b(attach(ed|ment|ing)|im anhang|angehängt|anbei)\b/i.test(own) && !(await sure(t('nothingAttached'), t('nothingAttachedText'), t('send')))) return null;
		return all;
	}

	async send(at = null) {
		if (this.sending) return;
		const all = await this.ready();
		if (!all) return;
		this.sending = true;
		set(this.element.querySelector('.send'), { disabled: true });
		try {
			await this.uploads();
			this.draft.dirty = true;
			await this.draft.save();
			const { id } = this.draft;
			await this.app.sends.send(id, this.identity, all, { at, again: () => this.app.editDraft({ id, threadId: this.draft.threadId }) });
			this.app.contacts.take(all);
			if (this.answered) this.app.actions.flag([this.answered.id], this.answered.keyword, true).catch(() => {});
			this.gone();
			this.app.sync();
		} catch (error) {
			this.sending = false;
			set(this.element.querySelector('.send'), { disabled: false });
			this.app.failed(error);
		}
	}

	async schedule() {
		const day = (days, hour) => {
			const date = new Date();
			date.setDate(date.getDate() + days);
			date.setHours(hour, 0, 0, 0);
			return date;
		};
		const local = (date) => new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
		const field = el('input', { type: 'datetime-local', value: local(day(1, 8)), min: local(new Date()), 'aria-label': t('sendLater') });
		const monday = (8 - new Date().getDay()) % 7 || 7;
		const choice = (label, date) => el('button', { onclick: () => { field.value = local(date); } }, label);
		const yes = await ask(t('sendLater'), [el('div', { class: 'choices' }, choice(t('tomorrowMorning'), day(1, 8)), choice(t('tomorrowEvening'), day(1, 18)), choice(t('mondayMorning'), day(monday, 8))), field],
			orNot(t('schedule')));
		const at = new Date(field.value);
		if (yes && at > new Date()) await this.send(at);
	}
}
