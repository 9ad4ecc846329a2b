// The styles of a message: declarations and sheets taken apart by the browser's parser and put together again from a list
// of properties and values that only set how text and boxes look. Nothing that fetches, covers what is around it, or
// follows the size of the window comes through.

const allowed = new RegExp('^(' + [
	'color', 'background-color', 'opacity', 'font-(family|size|style|weight|variant|stretch|variant-.*)', 'line-height', 'letter-spacing', 'word-spacing',
	'text-(align|align-last|decoration|decoration-.*|indent|transform|overflow)', 'vertical-align', 'white-space', 'white-space-collapse', 'text-wrap', 'text-wrap-mode', 'word-break', 'overflow-wrap', 'hyphens',
	'direction', 'unicode-bidi', '(min-|max-)?(width|height)', '(margin|padding)(-(top|right|bottom|left))?',
	'border(-(top|right|bottom|left))?(-(width|style|color))?', 'border-(collapse|spacing)', 'border-(top|bottom)-(left|right)-radius', 'border-radius',
	'display', 'float', 'clear', 'table-layout', 'caption-side', 'empty-cells', 'list-style-(type|position)', 'box-sizing', 'visibility', 'mso-hide',
	'flex(-.*)?', 'order', 'align-(items|self|content)', 'justify-(content|items|self)', '(row-|column-)?gap', 'tab-size', 'box-shadow', 'overflow(-x|-y)?',
].join('|') + ')$');

/** In a value: anything that fetches, refers, or grows with the window (and so makes the frame grow). */
const refused = /url\(|image|src\(|attr\(|var\(|env\(|expression|element\(|paint\(|[\\<@]|\d(vh|vmin|vmax|dvh|svh|lvh|vb|dvb)\b/i;

const LONGEST = 400;

/** [[property, value]] of a style attribute. */
export function declarations(text, state = {}) {
	const scratch = document.createElement('span').style;
	scratch.cssText = text.slice(0, 20_000);
	return clean(scratch, state);
}

function clean(style, state) {
	const out = [];
	for (let at = 0; at < style.length; at++) {
		const property = style[at];
		const value = style.getPropertyValue(property);
		if (!allowed.test(property)) {
			if (/^background-image$/.test(property) && /url\(\s*["']?(https?:)?\/\//i.test(value)) state.remote = (state.remote ?? 0) + 1;
			continue;
		}
		if (!value || value === 'initial' || value.length > LONGEST || refused.test(value)) continue;
		if (/color$/.test(property) && !/^(initial|inherit|unset|transparent|currentcolor|rgba\(0, 0, 0, 0\))$/i.test(value) && !property.startsWith('border')) state.coloured = true;
		out.push([property, value]);
	}
	return out;
}

const MOST_RULES = 3000;

/** The text of a sheet with the harmless part of its rules. Imports, fonts, and all that is nested deeper than a query are out. */
export function sheet(text, state = {}) {
	const parsed = new CSSStyleSheet();
	try {
		parsed.replaceSync(text.replace(/<!--|-->/g, ' '));
	} catch {
		return '';
	}
	const out = [];
	write(parsed.cssRules, out, state, 0);
	return out.join('\n');
}

function write(rules, out, state, depth) {
	for (const rule of rules) {
		if (out.length > MOST_RULES) return;
		if (rule instanceof CSSStyleRule) {
			const body = clean(rule.style, state).map(([property, value]) => `${property}:${value}${rule.style.getPropertyPriority(property) ? '!important' : ''}`).join(';');
			if (body && rule.selectorText.length < LONGEST && !/[<\\]|:has\(/.test(rule.selectorText)) out.push(`${rule.selectorText.replace(/(^|,)\s*(html|:root)\b/g, '$1 body')}{${body}}`);
		} else if (rule instanceof CSSMediaRule && depth < 2 && /^[\w\s\-:().,]+$/.test(rule.media.mediaText) && rule.media.mediaText.length < LONGEST) {
			const inner = [];
			write(rule.cssRules, inner, state, depth + 1);
			if (inner.length) out.push(`@media ${rule.media.mediaText}{${inner.join('\n')}}`);
		}
	}
}
