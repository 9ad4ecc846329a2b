// Logging in and out: the cookie is the server's business, the page never sees it, and keeps no password.

import { Jmap, OURS, reach } from './jmap.js';
import { byId, show } from './dom.js';
import { t } from './texts.js';

/** Whether this browser knows passkeys, and their JSON. */
export const PASSKEYS = window.PublicKeyCredential?.parseCreationOptionsFromJSON;

/** A request about log-ins (docs/http.md). */
export async function call(method, path, body) {
	const answer = await reach(`/auth/${path}`, { method, headers: { 'Content-Type': 'application/json', ...OURS }, body: body && JSON.stringify(body) });
	return answer.status === 204 ? null : answer.json();
}

/** What is wrong with a passkey, in words; null: something else. */
export function passkeyProblem(error) {
	if (error.problem?.code === 'name') return t('passkeyName');
	return error instanceof DOMException ? t('passkeyFailed') : null;
}

async function byPasskey() {
	const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(await call('POST', 'login/challenge', {}));
	const { id, response: { clientDataJSON, authenticatorData, signature, userHandle } } = (await navigator.credentials.get({ publicKey })).toJSON();
	await call('POST', 'login/passkey', { id, clientDataJSON, authenticatorData, signature, userHandle });
}

async function byPassword(form) {
	const fields = new FormData(form);
	const body = { address: fields.get('address').trim(), password: fields.get('password') };
	if (fields.get('totp')) body.totp = fields.get('totp').replace(/\s/g, '');
	await call('POST', 'login', body);
}

/** Shows the form until a log-in worked; gives the JMAP client. */
export function logIn() {
	const form = byId('login');
	const problem = byId('login-problem');
	const passkey = byId('login-passkey');
	const buttons = form.querySelectorAll('button');
	show(byId('app'), false);
	show(byId('login-page'), true);
	show(form, true);
	show(passkey, PASSKEYS);
	byId('login-address').focus();
	return new Promise((resolve) => {
		const attempt = async (way, refused) => {
			for (const button of buttons) button.disabled = true;
			problem.textContent = '';
			try {
				await way(form);
				const jmap = await Jmap.connect();
				form.elements.password.value = '';
				show(form, false);
				resolve(jmap);
			} catch (error) {
				refuse(error, form, problem, refused);
			} finally {
				for (const button of buttons) button.disabled = false;
			}
		};
		form.onsubmit = (event) => {
			event.preventDefault();
			attempt(byPassword, 'loginFailed');
		};
		passkey.onclick = () => attempt(byPasskey, 'passkeyFailed');
	});
}

function refuse(error, form, problem, refused) {
	const wantsCode = error.problem?.code === 'totp';
	if (wantsCode) show(byId('login-totp'), true);
	if (error.kind === 'network') problem.textContent = t('noNetwork');
	else if (wantsCode && !form.elements.totp.value) problem.textContent = t('loginCode');
	else problem.textContent = passkeyProblem(error) ?? (error.kind === 'login' ? t(refused) : t('loginOther', { detail: error.message }));
	(wantsCode ? form.elements.totp : form.elements.password).focus();
}

/** The session of the cookie, null without one. */
export async function resume() {
	try {
		return await Jmap.connect();
	} catch (error) {
		if (error.kind === 'login') return null;
		throw error;
	}
}

export async function logOut() {
	await call('POST', 'logout', {}).catch(() => {});
}
