// A QR code (ISO/IEC 18004) of a text, drawn here, so that a secret in it goes to nobody: bytes, error correction M, versions
// 1 to 15, mask 0 to 7 by the penalty of runs and of boxes. It gives rows of booleans, and a drawing of them.

const SVG = 'http://www.w3.org/2000/svg';
// Of each version at level M: error correction octets per block, blocks of the first size, their data octets, blocks one octet longer.
const BLOCKS = [[10, 1, 16, 0], [16, 1, 28, 0], [26, 1, 44, 0], [18, 2, 32, 0], [24, 2, 43, 0], [16, 4, 27, 0], [18, 4, 31, 0], [22, 2, 38, 2], [22, 3, 36, 2], [26, 4, 43, 1], [30, 1, 50, 4], [22, 6, 36, 2], [22, 8, 37, 1], [24, 4, 40, 5], [24, 5, 41, 5]];

const EXP = [];
const LOG = [];
for (let i = 0, x = 1; i < 255; i++, x = (x << 1) ^ (x & 128 ? 0x11d : 0)) {
	EXP[i] = x;
	LOG[x] = i;
}
const times = (a, b) => (a && b ? EXP[(LOG[a] + LOG[b]) % 255] : 0);

/** What Reed and Solomon add to a block. */
function correction(data, count) {
	let generator = [1];
	for (let i = 0; i < count; i++) generator = [...generator, 0].map((c, at) => c ^ times(generator[at - 1] ?? 0, EXP[i]));
	const rest = [...data, ...Array(count).fill(0)];
	for (let i = 0; i < data.length; i++) {
		const factor = rest[i];
		generator.forEach((c, at) => { rest[i + at] ^= times(c, factor); });
	}
	return rest.slice(data.length);
}

function codewords(bytes, version) {
	const [extra, first, size, second] = BLOCKS[version - 1];
	const capacity = first * size + second * (size + 1);
	const bits = [];
	const put = (value, count) => { for (let i = count - 1; i >= 0; i--) bits.push((value >> i) & 1); };
	put(4, 4);
	put(bytes.length, version < 10 ? 8 : 16);
	for (const byte of bytes) put(byte, 8);
	put(0, Math.min(4, capacity * 8 - bits.length));
	while (bits.length % 8) bits.push(0);
	const data = [];
	for (let i = 0; i < bits.length; i += 8) data.push(parseInt(bits.slice(i, i + 8).join(''), 2));
	for (let pad = 0xec; data.length < capacity; pad ^= 0xec ^ 0x11) data.push(pad);
	const blocks = [];
	for (let i = 0, at = 0; i < first + second; i++) {
		const length = size + (i >= first ? 1 : 0);
		blocks.push(data.slice(at, at + length));
		at += length;
	}
	const checks = blocks.map((block) => correction(block, extra));
	const all = [];
	for (let i = 0; i <= size; i++) for (const block of blocks) if (i < block.length) all.push(block[i]);
	for (let i = 0; i < extra; i++) for (const check of checks) all.push(check[i]);
	return all;
}

/** Remainder of BCH codes, for the format and the version. */
function bch(value, generator, bits) {
	let rest = value << bits;
	for (let i = 31 - Math.clz32(rest); i >= bits; i--) if ((rest >> i) & 1) rest ^= generator << (i - bits);
	return (value << bits) | rest;
}

const MASKS = [(r, c) => (r + c) % 2, (r) => r % 2, (r, c) => c % 3, (r, c) => (r + c) % 3, (r, c) => (Math.floor(r / 2) + Math.floor(c / 3)) % 2,
	(r, c) => ((r * c) % 2) + ((r * c) % 3), (r, c) => (((r * c) % 2) + ((r * c) % 3)) % 2, (r, c) => (((r + c) % 2) + ((r * c) % 3)) % 2];

function draw(words, version, mask) {
	const size = 17 + 4 * version;
	const grid = Array.from({ length: size }, () => Array(size).fill(null));
	const put = (r, c, dark) => { if (r >= 0 && c >= 0 && r < size && c < size) grid[r][c] = Boolean(dark); };
	for (const [top, left] of [[0, 0], [0, size - 7], [size - 7, 0]]) {
		for (let r = -1; r < 8; r++) for (let c = -1; c < 8; c++) {
			const ring = Math.max(Math.abs(r - 3), Math.abs(c - 3));
			put(top + r, left + c, ring !== 2 && ring < 4);
		}
	}
	if (version > 1) {
		const count = Math.floor(version / 7) + 2;
		const step = Math.ceil((version * 4 + 4) / (count * 2 - 2)) * 2;
		const places = [6, ...Array.from({ length: count - 1 }, (_, i) => size - 7 - step * (count - 2 - i))];
		for (const r of places) for (const c of places) {
			if (grid[r][c] !== null) continue;
			for (let y = -2; y < 3; y++) for (let x = -2; x < 3; x++) put(r + y, c + x, Math.max(Math.abs(x), Math.abs(y)) !== 1);
		}
	}
	for (let i = 8; i < size - 8; i++) {
		grid[6][i] = i % 2 === 0;
		grid[i][6] = i % 2 === 0;
	}
	// Level M is 00.
	const format = bch(mask, 0x537, 10) ^ 0x5412;
	for (let i = 0; i < 15; i++) {
		const dark = (format >> i) & 1;
		put(i < 6 ? i : i < 8 ? i + 1 : size - 15 + i, 8, dark);
		put(8, i < 8 ? size - 1 - i : i < 9 ? 7 : 14 - i, dark);
	}
	put(size - 8, 8, true);
	if (version > 6) {
		const told = bch(version, 0x1f25, 12);
		for (let i = 0; i < 18; i++) {
			const [a, b] = [Math.floor(i / 3), size - 11 + (i % 3)];
			put(a, b, (told >> i) & 1);
			put(b, a, (told >> i) & 1);
		}
	}
	let bit = 0;
	for (let right = size - 1; right > 0; right -= 2) {
		if (right === 6) right = 5;
		for (let i = 0; i < size; i++) for (const c of [right, right - 1]) {
			const r = (right + 1) & 2 ? i : size - 1 - i;
			if (grid[r][c] !== null) continue;
			const dark = ((words[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1;
			bit += 1;
			grid[r][c] = Boolean(dark) !== (MASKS[mask](r, c) === 0);
		}
	}
	return grid;
}

/** Long runs and boxes are hard to read. */
function penalty(grid) {
	let points = 0;
	const turned = grid.map((_, c) => grid.map((row) => row[c]));
	for (const line of [...grid, ...turned]) {
		const text = line.map(Number).join('');
		for (const run of text.match(/0{5,}|1{5,}/g) ?? []) points += run.length - 2;
		for (const like of ['10111010000', '00001011101']) points += 40 * (text.split(like).length - 1);
	}
	for (let r = 1; r < grid.length; r++) for (let c = 1; c < grid.length; c++) if (grid[r][c] === grid[r - 1][c] && grid[r][c] === grid[r][c - 1] && grid[r][c] === grid[r - 1][c - 1]) points += 3;
	return points;
}

/** Rows of dark and light; null where the text is too long. */
export function qr(text) {
	const bytes = new TextEncoder().encode(text);
	const version = 1 + BLOCKS.findIndex(([, first, size, second], at) => bytes.length + (at < 9 ? 2 : 3) <= first * size + second * (size + 1));
	if (!version) return null;
	const words = codewords(bytes, version);
	return MASKS.map((_, mask) => draw(words, version, mask)).map((grid) => ({ grid, points: penalty(grid) })).reduce((a, b) => (b.points < a.points ? b : a)).grid;
}

/** The same as a drawing, dark on light whatever the colours of the page. */
export function qrPicture(text, label) {
	const grid = qr(text);
	if (!grid) return null;
	const size = grid.length + 8;
	const svg = document.createElementNS(SVG, 'svg');
	for (const [name, value] of Object.entries({ viewBox: `0 0 ${size} ${size}`, width: 232, height: 232, role: 'img', 'aria-label': label, 'shape-rendering': 'crispEdges' })) svg.setAttribute(name, value);
	const part = (name, attributes) => {
		const node = document.createElementNS(SVG, name);
		for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
		svg.append(node);
	};
	part('rect', { width: size, height: size, fill: '#fff' });
	part('path', { fill: '#000', d: grid.flatMap((row, r) => row.map((dark, c) => (dark ? `M${c + 4} ${r + 4}h1v1h-1z` : ''))).join('') });
	return svg;
}
