// A menu that opens at a button: arrows move in it, Escape gives the focus back (ARIA: menu button).

import { el, iconButton, set } from './dom.js';
import { t } from './texts.js';

/** A button with more that can be done. */
export const moreButton = (items) => iconButton('more', t('more'), (event) => openMenu(event.currentTarget, items()), { 'aria-haspopup': 'menu', 'aria-expanded': 'false' });

/** Opens a menu of [{label, act, separate, checked}] below a button. */
export function openMenu(button, items) {
	document.querySelector('.menu')?.remove();
	const menu = el('div', { class: 'menu', role: 'menu', 'aria-label': button.getAttribute('aria-label') ?? button.textContent });
	// Opened by a key, it stands at a bar and gives the focus back to where it was.
	const before = document.activeElement;
	const opens = button.matches('button');
	const close = (refocus) => {
		menu.remove();
		if (opens) set(button, { 'aria-expanded': 'false' });
		document.removeEventListener('pointerdown', outside, true);
		if (refocus) (opens && button.isConnected ? button : before)?.focus();
	};
	const outside = (event) => {
		if (!menu.contains(event.target)) close(false);
	};
	for (const item of items.filter(Boolean)) {
		menu.append(el('button', {
			role: item.checked === undefined ? 'menuitem' : 'menuitemradio', 'aria-checked': item.checked === undefined ? null : String(item.checked), tabindex: '-1', class: item.separate ? 'separate' : '', dir: 'auto',
			onclick: () => {
				close(true);
				item.act();
			},
		}, item.label));
	}
	const entries = [...menu.children];
	menu.addEventListener('keydown', (event) => {
		const at = entries.indexOf(document.activeElement);
		const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
		if (event.key === 'Escape' || event.key === 'Tab') {
			event.preventDefault();
			event.stopPropagation();
			close(true);
		} else if (to !== undefined) {
			event.preventDefault();
			entries[(to + entries.length) % entries.length].focus();
		} else if (event.key.length === 1) {
			entries.find((entry, index) => index !== at && entry.textContent.toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
		}
	});
	(button.closest('dialog, .composer, main, nav, header.top') ?? document.body).append(menu);
	const place = button.getBoundingClientRect();
	const width = menu.offsetWidth;
	const height = menu.offsetHeight;
	menu.style.left = `${Math.max(8, Math.min(place.left, innerWidth - width - 8))}px`;
	menu.style.top = `${place.bottom + height + 8 > innerHeight ? Math.max(8, place.top - height - 4) : place.bottom + 4}px`;
	if (opens) set(button, { 'aria-expanded': 'true' });
	document.addEventListener('pointerdown', outside, true);
	entries[0]?.focus();
}
