// A field of recipients: addresses as chips, typed or pasted, with suggestions (ARIA: combobox with a listbox). It keeps
// addresses as the reader gave them and marks those that can't be one.

import { el, icon } from './dom.js';
import { parse, plausible, shortName, unique, written } from './addresses.js';
import { t } from './texts.js';

let count = 0;

export class Recipients {
	constructor(name, { find, changed }) {
		Object.assign(this, { name, find, changed });
		this.addresses = [];
		count += 1;
		this.listId = `suggestions-${count}`;
		this.list = el('ul', { class: 'suggestions', role: 'listbox', id: this.listId, 'aria-label': t('suggestions'), hidden: true });
		this.input = el('input', {
			type: 'text', id: `recipients-${count}`, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', inputmode: 'email', role: 'combobox', 'aria-expanded': 'false', 'aria-controls': this.listId,
			'aria-autocomplete': 'list', dir: 'auto', oninput: () => this.typed(), onkeydown: (event) => this.pressed(event), onblur: () => this.left(),
			onpaste: (event) => this.pasted(event),
		});
		this.chips = el('div', { class: 'chips', onclick: (event) => event.target === this.chips && this.input.focus() }, this.input);
		this.element = el('div', { class: `field field-${name}` }, el('label', { for: this.input.id }, t(name)), this.chips, this.list);
	}

	set(addresses) {
		this.addresses = unique(addresses ?? []);
		this.draw();
	}

	/** With what is typed and not yet a chip. */
	value() {
		return unique([...this.addresses, ...parse(this.input.value)]);
	}

	add(addresses) {
		this.addresses = unique([...this.addresses, ...addresses]);
		this.input.value = '';
		this.suggest([]);
		this.draw();
		this.changed();
	}

	draw() {
		const focused = document.activeElement === this.input;
		this.chips.replaceChildren(...this.addresses.map((address, at) => el('span', { class: plausible(address.email) ? 'chip' : 'chip wrong', title: written(address), dir: 'auto' },
			shortName(address), el('button', {
				'aria-label': t('removeAddress', { name: shortName(address) }), onclick: () => {
					this.addresses = this.addresses.toSpliced(at, 1);
					this.draw();
					this.input.focus();
					this.changed();
				},
			}, icon('close')))), this.input);
		if (focused) this.input.focus();
	}

	typed() {
		if (/[,;]\s*$/.test(this.input.value) && parse(this.input.value).some((one) => plausible(one.email))) this.add(parse(this.input.value));
		else this.suggest(this.find(this.input.value).filter((one) => !this.addresses.some((other) => other.email === one.email)));
		this.changed();
	}

	pasted(event) {
		const found = parse(event.clipboardData.getData('text/plain'));
		if (found.length < 2 || !found.every((one) => plausible(one.email))) return;
		event.preventDefault();
		this.add(found);
	}

	left() {
		// A click on a suggestion takes the focus first (mousedown is kept from it); what is left typed becomes a chip.
		const typed = parse(this.input.value);
		if (typed.length) this.add(typed);
		this.suggest([]);
	}

	suggest(found) {
		this.found = found;
		this.at = found.length ? 0 : -1;
		this.list.hidden = !found.length;
		this.input.setAttribute('aria-expanded', String(found.length > 0));
		this.list.replaceChildren(...found.map((one, at) => el('li', {
			role: 'option', id: `${this.listId}-${at}`, dir: 'auto', onmousedown: (event) => {
				event.preventDefault();
				this.add([one]);
			},
		}, el('span', {}, one.name ?? one.email), one.name ? el('span', { class: 'soft' }, one.email) : '')));
		this.point();
	}

	point() {
		[...this.list.children].forEach((item, at) => item.setAttribute('aria-selected', String(at === this.at)));
		if (this.at >= 0) this.input.setAttribute('aria-activedescendant', `${this.listId}-${this.at}`);
		else this.input.removeAttribute('aria-activedescendant');
	}

	pressed(event) {
		const open = this.found?.length;
		if (open && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
			event.preventDefault();
			this.at = (this.at + (event.key === 'ArrowDown' ? 1 : -1) + open) % open;
			this.point();
		} else if (event.key === 'Enter' && !event.ctrlKey && !event.metaKey) {
			event.preventDefault();
			if (open) this.add([this.found[this.at]]);
			else if (this.input.value.trim()) this.add(parse(this.input.value));
		} else if (event.key === 'Tab' && open && this.input.value) this.add([this.found[this.at]]);
		else if (event.key === 'Escape' && open) {
			event.stopPropagation();
			this.suggest([]);
		} else if (event.key === 'Backspace' && !this.input.value && this.addresses.length) {
			this.addresses = this.addresses.slice(0, -1);
			this.draw();
			this.input.focus();
			this.changed();
		}
	}
}
