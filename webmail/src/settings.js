// The settings: what is chosen for this browser (choices.js), and what the account holds: identities with their
// signatures, the vacation response (RFC 8621 §6, §8). Each part is saved by itself.

import { el } from './dom.js';
import { ask, notice } from './notice.js';
import { SUBMISSION, VACATION, stamp } from './jmap.js';
import { able, set } from './background.js';
import { choose, chosen, showColours } from './choices.js';
import { languageNames, t } from './texts.js';
import { parse, written } from './addresses.js';
import { group, labelled } from './fields.js';
import { security } from './security.js';

const check = (checked, onchange) => el('input', { type: 'checkbox', checked: Boolean(checked), onchange: (event) => onchange(event.target.checked) });

function select(values, now, onchange) {
	const field = el('select', { onchange: () => onchange(field.value) }, ...values.map(([value, label]) => el('option', { value }, label)));
	field.value = now;
	return field;
}

export async function settings(app) {
	const parts = (await Promise.all([browser(app), identities(app), vacation(app), security(app)])).flat();
	await ask(t('settings'), parts.filter(Boolean), null, { wide: true });
}

function browser(app) {
	return group(t('thisBrowser'),
		labelled(t('theme'), select([['auto', t('themeAuto')], ['light', t('themeLight')], ['dark', t('themeDark')]], chosen('theme'), (value) => {
			choose('theme', value);
			showColours();
		})),
		labelled(t('language'), select([['', t('themeAuto')], ...Object.entries(languageNames)], chosen('language'), (value) => {
			choose('language', value);
			location.reload();
		})),
		labelled(t('undoTime'), select([['0', t('noUndo')], ['5', '5 s'], ['10', '10 s'], ['20', '20 s'], ['30', '30 s']], String(chosen('undoSeconds')), (value) => choose('undoSeconds', Number(value)))),
		labelled(t('writePlain'), check(chosen('plain'), (on) => choose('plain', on))),
		labelled(t('alwaysImages'), check(chosen('images'), (on) => choose('images', on)), t('alwaysImagesHelp')),
		labelled(t('notifications'), check(chosen('notify') && globalThis.Notification?.permission === 'granted', (on) => app.notifications.choose(on))),
		able(app) ? labelled(t('notifyClosed'), check(chosen('push'), (on) => app.attempt(set(app, on)))) : '');
}

async function identities(app) {
	const { store } = app;
	if (!app.jmap.has(SUBMISSION)) return null;
	await store.loadIdentities();
	return group(t('identities'), ...store.identities.map((identity) => {
		const name = el('input', { type: 'text', value: identity.name ?? '', dir: 'auto' });
		const reply = el('input', { type: 'text', value: (identity.replyTo ?? []).map(written).join(', ') });
		const signature = el('textarea', { rows: '3', dir: 'auto', value: identity.textSignature ?? '' });
		const save = async () => {
			const replyTo = parse(reply.value);
			await app.jmap.set('Identity/set', { update: { [identity.id]: { name: name.value, replyTo: replyTo.length ? replyTo : null, textSignature: signature.value } } });
			await store.loadIdentities();
			notice(t('saved'));
		};
		return el('details', { class: 'identity', open: store.identities.length === 1 }, el('summary', { dir: 'auto' }, identity.email),
			labelled(t('name'), name), labelled(t('replyTo'), reply), labelled(t('signature'), signature),
			el('button', { onclick: () => app.attempt(save()) }, t('save')));
	}));
}

async function vacation(app) {
	if (!app.jmap.has(VACATION)) return null;
	const [answer] = await app.jmap.all([['VacationResponse/get', { ids: ['singleton'] }]], { tolerant: true });
	const now = answer.list?.[0];
	if (!now) return null;
	const local = (text) => {
		if (!text) return '';
		const date = new Date(text);
		return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
	};
	const given = (text) => (text ? stamp(new Date(text)) : null);
	const on = el('input', { type: 'checkbox', checked: now.isEnabled });
	const from = el('input', { type: 'datetime-local', value: local(now.fromDate) });
	const to = el('input', { type: 'datetime-local', value: local(now.toDate) });
	const subject = el('input', { type: 'text', value: now.subject ?? '', dir: 'auto' });
	const text = el('textarea', { rows: '4', dir: 'auto', value: now.textBody ?? '' });
	const save = async () => {
		await app.jmap.set('VacationResponse/set', {
			update: { singleton: { isEnabled: on.checked, fromDate: given(from.value), toDate: given(to.value), subject: subject.value || null, textBody: text.value || null, htmlBody: null } },
		});
		notice(t('saved'));
	};
	return group(t('vacation'), labelled(t('vacationOn'), on), labelled(t('from'), from), labelled(t('vacationTo'), to), labelled(t('subject'), subject), labelled(t('text'), text),
		el('button', { class: 'save-vacation', onclick: () => app.attempt(save()) }, t('save')));
}
