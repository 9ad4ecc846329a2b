// Who may use the account: its password, the second factor, passkeys, app passwords and sessions (docs/http.md). What outlasts a
// session asks for the password again; a secret is shown once and kept nowhere.

import { el } from './dom.js';
import { ask, notice, orNot, sure } from './notice.js';
import { call, passkeyProblem, PASSKEYS } from './session.js';
import { longDate, t } from './texts.js';
import { group, labelled } from './fields.js';
import { qrPicture } from './qr.js';

const CLOSED = Symbol('closed');

const parts = [password, secondFactor, passkeys, appPasswords, sessions];

/** The groups of the settings; none where the server has no such thing. */
export async function security(app) {
	const drawn = await Promise.all(parts.map((part) => drawing(app, part).catch(() => null)));
	return drawn.filter(Boolean);
}

/** A part that draws itself anew after each change. */
async function drawing(app, part) {
	const box = group(t(part.name));
	const draw = async () => box.replaceChildren(box.firstChild, ...await part(act));
	const act = async (change) => {
		try {
			if ((await change()) !== false) await draw();
		} catch (error) {
			if (error === CLOSED) return;
			const code = error.problem?.code;
			const said = passkeyProblem(error);
			if (said) notice(said);
			else if (code === 'password') notice(t('wrongPassword'));
			else if (code === 'totp') notice(t('wrongCode'));
			else app.failed(error);
		}
	};
	await draw();
	return box;
}

const button = (label, act, attributes = {}) => el('button', { onclick: act, ...attributes }, label);
const secret = (autocomplete) => el('input', { type: 'password', autocomplete, required: true });
const own = () => ({ [t('password')]: secret('current-password') });
const codeField = () => el('input', { inputmode: 'numeric', autocomplete: 'one-time-code' });

/** Asks for some fields; throws where it is closed. */
async function form(title, fields, ...before) {
	const labels = Object.entries(fields).map(([label, field]) => labelled(label, field));
	const yes = await ask(title, el('div', { class: 'group' }, ...before, ...labels), orNot(t('ok')));
	if (!yes) throw CLOSED;
	return Object.values(fields).map((field) => field.value);
}

/** Shows what is seen this once. */
const once = (title, ...content) => ask(title, el('div', { class: 'group' }, el('p', {}, t('seenOnce')), ...content));

function password(act) {
	const [now, next, again] = [secret('current-password'), secret('new-password'), secret('new-password')];
	const change = () => act(async () => {
		if (next.value !== again.value) {
			notice(t('notTheSame'));
			return false;
		}
		await call('POST', 'password', { password: now.value, new: next.value });
		notice(t('passwordChanged'));
	});
	return [labelled(t('passwordNow'), now), labelled(t('passwordNew'), next), labelled(t('passwordAgain'), again), button(t('save'), change, { class: 'save-password' })];
}

async function secondFactor(act) {
	const { state, recoveryCodes } = await call('GET', 'totp');
	const begin = () => act(async () => {
		const [given] = await form(t('secondFactor'), own());
		const { secret: key, uri } = await call('POST', 'totp', { password: given });
		for (;;) {
			const [code] = await form(t('secondFactor'), { [t('code')]: codeField() }, el('p', {}, t('scanThis')), qrPicture(uri, t('secondFactor')), el('code', { class: 'secret' }, key));
			try {
				const found = await call('POST', 'totp/confirm', { totp: code.replace(/\s/g, '') });
				await once(t('recoveryCodes'), el('p', {}, t('recoveryHelp')), el('code', { class: 'secret recovery' }, found.recoveryCodes.join('\n')));
				return;
			} catch (error) {
				if (error.problem?.code !== 'totp') throw error;
				notice(t('wrongCode'));
			}
		}
	});
	const remove = () => act(async () => {
		const [given, code] = await form(t('secondFactorOff'), { ...own(), [t('code')]: codeField() });
		await call('POST', 'totp/remove', { password: given, totp: code.replace(/\s/g, '') });
	});
	return state === 'on'
		? [el('p', {}, t('secondFactorIsOn', { n: recoveryCodes })), button(t('secondFactorOff'), remove)]
		: [el('p', { class: 'soft' }, t('secondFactorHelp')), button(t('secondFactorOn'), begin, { class: 'begin-totp' })];
}

function line(name, about, remove, label) {
	return el('li', {}, el('span', { dir: 'auto' }, name), el('span', { class: 'soft' }, about), remove && button(label, remove, { 'aria-label': `${label}: ${name}` }));
}

const lastUse = (used) => (used ? t('lastUse', { date: longDate(used.at), from: used.from }) : t('neverUsed'));

/** What has a name, and can be taken back. */
function named(act, path, all) {
	const remove = (one) => act(async () => (await sure(t('revoke'), t('sureRevoke', { name: one.name }), t('revoke'))) && call('DELETE', `${path}/${one.id}`));
	const about = (one) => `${t('made', { date: longDate(one.created) })}, ${lastUse(one.used)}`;
	return el('ul', { class: 'tokens' }, ...all.map((one) => line(one.name, about(one), () => remove(one), t('revoke'))));
}

/** Asks for a name and the password. */
const naming = (title) => form(title, { [t('appPasswordName')]: el('input', { type: 'text', required: true }), ...own() });

async function passkeys(act) {
	const { passkeys: all } = await call('GET', 'passkeys');
	const make = () => act(async () => {
		const [name, given] = await naming(t('passkeyNew'));
		const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(await call('POST', 'passkeys', { password: given }));
		const { response: { clientDataJSON, attestationObject } } = (await navigator.credentials.create({ publicKey })).toJSON();
		return call('POST', 'passkeys/confirm', { name, clientDataJSON, attestationObject });
	});
	// Browsers have none for addresses.
	const address = /^[\d.]+$|:/.test(location.hostname);
	return [el('p', { class: 'soft' }, t('passkeysHelp')), named(act, 'passkeys', all),
		address ? el('p', {}, t('passkeyName')) : PASSKEYS ? button(t('passkeyNew'), make, { class: 'new-passkey' }) : ''];
}

async function appPasswords(act) {
	const { appPasswords: all } = await call('GET', 'app-passwords');
	const make = () => act(async () => {
		const [name, given] = await naming(t('appPasswordNew'));
		const made = await call('POST', 'app-passwords', { password: given, name });
		await once(name, el('code', { class: 'secret' }, made.password));
	});
	return [el('p', { class: 'soft' }, t('appPasswordsHelp')), named(act, 'app-passwords', all), button(t('appPasswordNew'), make, { class: 'new-app-password' })];
}

async function sessions(act) {
	const { sessions: all } = await call('GET', 'sessions');
	const end = (path) => () => act(() => call('DELETE', path));
	return [el('ul', { class: 'tokens' }, ...all.map((one) => line(one.agent || '?', one.current ? t('thisSession') : lastUse(one.used), !one.current && end(`sessions/${one.id}`), t('endSession')))),
		all.length > 1 ? button(t('endOthers'), end('sessions')) : ''];
}
