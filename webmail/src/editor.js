// Where a text is written: plain in a text area, or rich in a frame of its own (frame.js), so that quoted and pasted HTML
// stays behind the same walls as what is read. It knows the text, not the mail.

import { el, icon, iconButton } from './dom.js';
import { Frame } from './frame.js';
import { sanitise } from './sanitise.js';
import { toText } from './quote.js';
import { t } from './texts.js';
import { isDark } from './choices.js';
import { ask, orNot } from './notice.js';

export class Editor {
	/** `changed()` after each change; `image(file)` puts an image in, giving {cid, url}; `key(event)` hears keys. */
	constructor({ rich, changed, image, files, key }) {
		Object.assign(this, { changed, image, files, key, rich: false });
		this.area = el('textarea', { class: 'plain-editor', 'aria-label': t('text'), dir: 'auto', oninput: () => changed(), onkeydown: key });
		this.holder = el('div', { class: 'editor' }, this.area);
		this.startRich = rich;
	}

	async begin({ text = '', nodes = null }) {
		this.area.value = text;
		if (this.startRich) await this.makeRich(nodes ?? paragraphs(text, document));
	}

	async makeRich(nodes) {
		this.frame = new Frame(t('text'), { kind: 'writing' });
		this.frame.element.classList.add('rich-editor');
		this.bar = this.tools();
		this.holder.replaceChildren(this.bar, this.frame.element);
		await this.frame.fill(nodes, { dark: isDark() });
		const inside = this.frame.document;
		if (!inside) return;
		this.rich = true;
		inside.body.contentEditable = 'true';
		inside.body.setAttribute('role', 'textbox');
		inside.body.setAttribute('aria-multiline', 'true');
		inside.body.setAttribute('aria-label', t('text'));
		inside.documentElement.lang = document.documentElement.lang;
		inside.execCommand('defaultParagraphSeparator', false, 'div');
		inside.addEventListener('input', () => this.changed());
		inside.addEventListener('keydown', this.key);
		inside.addEventListener('paste', (event) => this.pasted(event));
		inside.addEventListener('drop', (event) => {
			if (event.dataTransfer.files.length) {
				event.preventDefault();
				this.files([...event.dataTransfer.files], true);
			} else {
				event.preventDefault();
				this.insert(event.dataTransfer.getData('text/html'), event.dataTransfer.getData('text/plain'));
			}
		});
	}

	makePlain() {
		this.area.value = this.text();
		this.rich = false;
		this.frame = null;
		this.holder.replaceChildren(this.area);
	}

	toggle() {
		if (this.rich) {
			this.makePlain();
			return Promise.resolve();
		}
		return this.makeRich(paragraphs(this.area.value, document));
	}

	focus(start = true) {
		if (!this.rich) {
			this.area.focus();
			if (start) this.area.setSelectionRange(0, 0);
			return;
		}
		this.frame.element.focus();
		this.frame.document.body.focus();
		if (start) this.frame.document.getSelection().setPosition(this.frame.document.body.firstChild ?? this.frame.document.body, 0);
	}

	text() {
		return this.rich ? toText(this.frame.document.body) : this.area.value;
	}

	/** What is sent as HTML: images of ours go by their Content-ID. */
	html() {
		if (!this.rich) return null;
		const copy = this.frame.document.body.cloneNode(true);
		for (const image of copy.querySelectorAll('img[data-cid]')) {
			image.setAttribute('src', `cid:${image.dataset.cid}`);
			image.removeAttribute('data-cid');
		}
		return `<!doctype html><html><head><meta charset="utf-8"></head><body>${copy.innerHTML}</body></html>`;
	}

	/** The Content-IDs that the text still uses. */
	cids() {
		return this.rich ? [...this.frame.document.querySelectorAll('img[data-cid]')].map((image) => image.dataset.cid) : [];
	}

	replaceSignature(before, after) {
		if (this.rich) {
			const found = this.frame.document.querySelector('.signature');
			if (found) found.replaceChildren(...(after ? lines(`-- \n${after}`, this.frame.document) : []));
			return;
		}
		const { value } = this.area;
		const old = before ? `\n-- \n${before}` : '';
		const at = old ? value.indexOf(old) : -1;
		const next = after ? `\n-- \n${after}` : '';
		if (at >= 0) this.area.value = value.slice(0, at) + next + value.slice(at + old.length);
		else if (next) this.area.value = `${value}\n${next}`;
	}

	pasted(event) {
		const { files } = event.clipboardData;
		event.preventDefault();
		if (files.length && !event.clipboardData.getData('text/html')) this.files([...files], true);
		else this.insert(event.clipboardData.getData('text/html'), event.clipboardData.getData('text/plain'));
	}

	insert(html, text) {
		const inside = this.frame.document;
		const nodes = html ? sanitise(html, { into: inside, image: (kind, address) => (kind === 'data' ? address : null) }).nodes : null;
		if (!nodes) {
			inside.execCommand('insertText', false, text);
			return;
		}
		const selection = inside.getSelection();
		if (!selection.rangeCount) return;
		const range = selection.getRangeAt(0);
		range.deleteContents();
		const last = nodes.lastChild;
		range.insertNode(nodes);
		if (last) selection.setPosition(last.parentNode, [...last.parentNode.childNodes].indexOf(last) + 1);
		this.changed();
	}

	insertImage({ cid, url, name }) {
		const inside = this.frame.document;
		const image = inside.createElement('img');
		image.setAttribute('src', url);
		image.setAttribute('alt', name);
		image.dataset.cid = cid;
		const selection = inside.getSelection();
		if (selection.rangeCount && inside.body.contains(selection.anchorNode)) selection.getRangeAt(0).insertNode(image);
		else inside.body.prepend(image);
		this.changed();
	}

	command(name, value) {
		this.frame.document.execCommand('styleWithCSS', false, false);
		this.frame.document.execCommand(name, false, value);
		this.changed();
	}

	tools() {
		const button = (label, words, command, value) => el('button', {
			class: `format format-${command}`, title: label, 'aria-label': label, onmousedown: (event) => event.preventDefault(), onclick: () => this.command(command, value),
		}, words);
		return el('div', { class: 'tools format-bar', role: 'toolbar', 'aria-label': t('format') },
			button(t('bold'), 'B', 'bold'), button(t('italic'), 'I', 'italic'), button(t('underline'), 'U', 'underline'), button(t('bullets'), icon('bullets'), 'insertUnorderedList'), button(t('numbers'), icon('numbers'), 'insertOrderedList'),
			button(t('quoteMore'), '❝', 'formatBlock', 'blockquote'), button(t('unformat'), icon('unformat'), 'removeFormat'),
			iconButton('link', t('link'), () => this.link()),
			iconButton('image', t('insertImage'), () => this.image()));
	}

	async link() {
		const selection = this.frame.document.getSelection();
		const range = selection.rangeCount ? selection.getRangeAt(0).cloneRange() : null;
		const field = el('input', { type: 'url', placeholder: 'https://', 'aria-label': t('link') });
		if (!(await ask(t('link'), field, orNot(t('ok')))) || !/^(https?:|mailto:)/i.test(field.value)) return;
		if (range) {
			selection.removeAllRanges();
			selection.addRange(range);
		}
		if (selection.isCollapsed) this.command('insertText', field.value);
		else this.command('createLink', field.value);
	}
}

/** Plain text as nodes: a line is a <div>. */
export function lines(text, into) {
	return text.split('\n').map((line) => {
		const block = into.createElement('div');
		block.append(line ? into.createTextNode(line) : into.createElement('br'));
		return block;
	});
}

/** Plain text as a fragment: quotes become <blockquote>, the rest lines. */
export function paragraphs(text, into) {
	const out = into.createDocumentFragment();
	const stack = [out];
	for (const line of text.split('\n')) {
		const marks = /^(?:>[ ]?)*/.exec(line)[0];
		const depth = Math.min(10, (marks.match(/>/g) ?? []).length);
		while (stack.length - 1 > depth) stack.pop();
		while (stack.length - 1 < depth) {
			const block = into.createElement('blockquote');
			stack.at(-1).append(block);
			stack.push(block);
		}
		stack.at(-1).append(...lines(line.slice(marks.length), into));
	}
	return out;
}
