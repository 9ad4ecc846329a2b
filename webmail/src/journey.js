// *Where is my mail?* and *How did this reach me?*: a dialog that asks the server for a message's journeys, draws them (way.js),
// follows them while they are under way, and prints or saves the picture.

import { el } from './dom.js';
import { ask } from './notice.js';
import { JOURNEY, ref } from './jmap.js';
import { spoken, t } from './texts.js';

const AGAIN = 15_000; // ms; the event source tells earlier

export const canTell = (app, email) => app.jmap.has(JOURNEY) && !email.keywords.$draft;
export const question = (app, email) => t(app.isOwn(email.from?.[0]?.email ?? '') ? 'jWhere' : 'jHow');

export async function showJourney(app, email) {
	const { jmap, store } = app;
	const picture = el('div', {});
	const status = el('p', { class: 'soft', role: 'status' }, t('loading'));
	let state = null;
	const find = async () => {
		const { draw } = await import('./way.js');
		const [, got] = await jmap.all([['Journey/query', { filter: { emailId: email.id } }], ['Journey/get', { '#ids': ref(0, '/ids') }]]);
		state = got.state;
		// Of a message to oneself, the way out first.
		draw(picture, got.list.sort((a, b) => (a.kind < b.kind ? 1 : -1)));
		status.textContent = got.list.length ? (got.list.some((one) => one.isUnderWay) ? t('jLive') : '') : t('jNothing');
	};
	const look = async () => {
		if (!state) return;
		try {
			const changes = await jmap.call('Journey/changes', { sinceState: state });
			if (changes.newState === state) return;
		} catch (error) {
			// Without a connection the picture stays as it is.
			if (error.kind !== 'cannotCalculateChanges') return;
		}
		await find().catch(() => {});
	};
	find().catch((error) => {
		status.textContent = t('failed', { detail: error.message });
	});
	store.addEventListener('journeys', look);
	const timer = setInterval(look, AGAIN);
	const answer = ask(question(app, email), [status, picture], [{ label: t('print'), check: print }, { label: t('save'), check: () => save(picture, email) }, { label: t('close'), main: true }], { wide: true });
	picture.closest('dialog').classList.add('journey-dialog');
	await answer;
	clearInterval(timer);
	store.removeEventListener('journeys', look);
}

/** Only the picture goes on paper. The dialog stays. */
function print() {
	document.body.classList.add('printing-journey');
	window.print();
	document.body.classList.remove('printing-journey');
	return false;
}

/** A file in which all is open, without scripts; it says so to the browser that opens it. */
function save(picture, email) {
	const whole = picture.cloneNode(true);
	for (const one of whole.querySelectorAll('details')) one.open = true;
	const title = email.subject || t('noSubject');
	fetch('journey.css').then((answer) => answer.text()).then((sheet) => {
		const page = el('html', { lang: spoken() }, el('meta', { charset: 'utf-8' }), el('meta', { 'http-equiv': 'Content-Security-Policy', content: "default-src 'none'; style-src 'unsafe-inline'" }),
			el('title', {}, title), el('style', {}, sheet), el('body', { class: 'journey-file' }, el('h1', { dir: 'auto' }, title), whole));
		const href = URL.createObjectURL(new Blob(['<!doctype html>', page.outerHTML], { type: 'text/html' }));
		el('a', { href, download: 'journey.html' }).click();
		setTimeout(() => URL.revokeObjectURL(href), AGAIN);
	});
	return false;
}
