// Short words at the foot of the page, with a way back where there is one, and questions that want an answer. Both are
// read out: the words stand in a live region, the question is a dialog that keeps the focus.

import { byId, el } from './dom.js';
import { t } from './texts.js';

const TIME = 8000; // ms

let timer;

/** Says something; `way` is {label, act} for undoing it. Gives a function that takes the words away. */
export function notice(text, way = null, time = TIME) {
	const box = byId('notice');
	const gone = () => {
		clearTimeout(timer);
		box.replaceChildren();
		box.classList.remove('shown');
	};
	clearTimeout(timer);
	box.replaceChildren(el('span', {}, text), way ? el('button', { class: 'link', onclick: () => { gone(); way.act(); } }, way.label) : '');
	box.classList.add('shown');
	if (time) timer = setTimeout(gone, time);
	return gone;
}

/** Undoes what the notice offers, by a key. */
export function takeBack() {
	const button = byId('notice').querySelector('button');
	button?.click();
	return Boolean(button);
}

/**
 * A dialog with a title and content; buttons are [{label, value, main}], or the one that closes it. Gives the value of the one pressed, null when it was
 * closed. The element is a real `<dialog>`: the browser keeps the focus in it and gives it back.
 */
export function ask(title, content, buttons, { wide = false } = {}) {
	return new Promise((resolve) => {
		const id = `dialog-${Math.random().toString(36).slice(2)}`;
		let value = null;
		const parts = [content].flat();
		// What scrolls and holds nothing to stop at is a stop itself, so that keys can scroll it.
		const stops = parts.some((part) => part.matches?.('input, select, textarea') || part.querySelector?.('input, select, textarea, button, summary'));
		const dialog = el('dialog', { class: wide ? 'dialog wide' : 'dialog', 'aria-labelledby': id, onclose: () => { dialog.remove(); resolve(value); } },
			el('h2', { id }, title), el('div', { class: 'dialog-body', tabindex: wide && !stops ? '0' : null }, ...parts),
			el('div', { class: 'dialog-buttons' }, ...(buttons ?? [{ label: t('close'), main: true }]).map((button) => el('button', {
				class: button.main ? 'main' : '', onclick: () => {
					if (button.check && button.check() === false) return;
					value = button.value ?? true;
					dialog.close();
				},
			}, button.label))));
		document.body.append(dialog);
		dialog.showModal();
	});
}

/** The buttons for doing it, or not. */
export const orNot = (label, more) => [{ label: t('cancel'), value: false }, { label, value: true, main: true, ...more }];

/** Yes or no. */
export async function sure(title, text, yes = t('ok')) {
	return (await ask(title, el('p', {}, text), orNot(yes))) === true;
}
