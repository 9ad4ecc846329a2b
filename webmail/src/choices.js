// What the reader has chosen for this browser: colours, language, notifications and the like, in localStorage. Nothing of
// the account is in here.

const standard = { theme: 'auto', language: '', notify: false, push: false, images: false, undoSeconds: 10, plain: false };

export function chosen(name) {
	try {
		const value = localStorage.getItem(`postrider.${name}`);
		return value === null ? standard[name] : JSON.parse(value);
	} catch {
		return standard[name];
	}
}

export function choose(name, value) {
	try {
		localStorage.setItem(`postrider.${name}`, JSON.stringify(value));
	} catch {
		// A browser that keeps nothing forgets it with the page.
	}
}

/** The colours that hold now. */
export const isDark = () => {
	const theme = chosen('theme');
	return theme === 'dark' || (theme === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches);
};

/** Sets them on the page; follows the system where it is asked to. */
export function showColours() {
	document.documentElement.dataset.theme = isDark() ? 'dark' : 'light';
	document.querySelector('meta[name=color-scheme]').content = isDark() ? 'dark' : 'light';
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', showColours);
