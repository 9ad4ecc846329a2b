// Logging in and out: the cookie is the server's business, the page never sees it, and keeps no password.

import { Jmap, OURS, reach } from './jmap.js';
import { byId, show } from './dom.js';
import { t } from './texts.js';

/** Shows the form until a log-in worked; gives the JMAP client. */
export function logIn() {
	const form = byId('login');
	const problem = byId('login-problem');
	show(byId('app'), false);
	show(byId('login-page'), true);
	show(form, true);
	byId('login-address').focus();
	return new Promise((resolve) => {
		form.onsubmit = async (event) => {
			event.preventDefault();
			const fields = new FormData(form);
			const body = { address: fields.get('address').trim(), password: fields.get('password') };
			if (fields.get('totp')) body.totp = fields.get('totp').replace(/\s/g, '');
			form.querySelector('button').disabled = true;
			problem.textContent = '';
			try {
				await reach('/auth/login', { method: 'POST', headers: { 'Content-Type': 'application/json', ...OURS }, body: JSON.stringify(body) });
				const jmap = await Jmap.connect();
				form.onsubmit = null;
				form.elements.password.value = '';
				show(form, false);
				resolve(jmap);
			} catch (error) {
				refuse(error, form, problem);
			} finally {
				form.querySelector('button').disabled = false;
			}
		};
	});
}

function refuse(error, form, problem) {
	const wantsCode = error.problem?.code === 'totp';
	if (wantsCode) show(byId('login-totp'), true);
	if (error.kind === 'network') problem.textContent = t('noNetwork');
	else if (wantsCode && !form.elements.totp.value) problem.textContent = t('loginCode');
	else problem.textContent = error.kind === 'login' ? t('loginFailed') : t('loginOther', { detail: error.message });
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
	await reach('/auth/logout', { method: 'POST', headers: OURS }).catch(() => {});
}
