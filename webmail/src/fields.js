// Fields with their labels, in groups: what forms are made of.

import { el } from './dom.js';

let count = 0;

export function labelled(label, field, help) {
	count += 1;
	field.id ||= `setting-${count}`;
	const box = field.type === 'checkbox';
	return el('div', { class: box ? 'setting check' : 'setting' }, el('label', { for: field.id }, label), field, help ? el('p', { class: 'soft' }, help) : '');
}

export function group(title, ...children) {
	return el('fieldset', { class: 'group' }, el('legend', {}, title), ...children);
}
