// The virtual list: a box that scrolls over a million rows with the forty that are seen. It recycles its rows and knows
// nothing of mail: `draw(row, index)` fills one, `seen(from, to)` tells which are looked at.
//
// An element can't be as high as a million rows (browsers end at some 2^25 px), so the box pretends: near both ends a
// pixel is a pixel, between them the thumb's way is scaled. A wheel or a finger still moves the rows by exactly its own
// way; where thumb and rows have drifted apart, they are put together again when all is still.

const HIGHEST = 8_000_000; // px; well under what every browser can do
const ENDS = 100_000; // px at each end that are not scaled
const SPARE = 6; // rows above and below what is seen

export class List {
	constructor(box, { rowHeight, make, draw, seen }) {
		Object.assign(this, { box, rowHeight, make, draw, seen });
		this.count = 0;
		this.rows = new Map(); // index → element
		this.pool = [];
		this.view = 0; // px that are seen, once that is known
		this.offset = 0; // px from the first row's top to the top of what is seen
		this.last = 0;
		this.stage = document.createElement('div');
		this.stage.className = 'stage';
		this.stage.setAttribute('role', 'presentation');
		box.append(this.stage);
		box.addEventListener('scroll', () => this.scrolled(), { passive: true });
		new ResizeObserver(() => this.resized()).observe(box);
	}

	get whole() {
		return this.count * this.rowHeight;
	}

	get height() {
		return Math.min(this.whole, HIGHEST);
	}

	/** From where the thumb is to where the rows are. */
	toOffset(top) {
		const { whole, height, view } = this;
		if (whole <= HIGHEST) return top;
		if (top <= ENDS) return top;
		if (top >= height - view - ENDS) return whole - (height - top);
		return ENDS + (top - ENDS) * ((whole - view - 2 * ENDS) / (height - view - 2 * ENDS));
	}

	/** And back. */
	toTop(offset) {
		const { whole, height, view } = this;
		if (whole <= HIGHEST || offset <= ENDS) return offset;
		if (offset >= whole - view - ENDS) return height - (whole - offset);
		return ENDS + (offset - ENDS) * ((height - view - 2 * ENDS) / (whole - view - 2 * ENDS));
	}

	resize(count) {
		if (count === this.count) return;
		this.count = count;
		this.stage.style.height = `${this.height}px`;
		this.offset = Math.max(0, Math.min(this.offset, this.whole - this.view));
		this.settle();
		this.paint();
	}

	resized() {
		this.view = this.box.clientHeight;
		this.paint();
	}

	scrolled() {
		const top = this.box.scrollTop;
		const way = top - this.last;
		if (way === 0) return;
		this.last = top;
		// A jump is the thumb (or Home, End); anything shorter moves the rows by its own way.
		if (Math.abs(way) > this.view * 3 || this.whole <= HIGHEST) this.offset = this.toOffset(top);
		else this.offset = Math.max(0, Math.min(this.whole - this.view, this.offset + way));
		// The thumb has come to an end before the rows have, or they with it.
		if (top <= 0 || top >= this.height - this.view) {
			const end = top <= 0 ? 0 : Math.max(0, this.whole - this.view);
			if (Math.abs(end - this.offset) > this.view * 3) this.settle();
			else this.offset = end;
		}
		if (!this.frame) {
			this.frame = requestAnimationFrame(() => {
				this.frame = 0;
				this.paint();
			});
		}
		clearTimeout(this.still);
		if (this.whole > HIGHEST) this.still = setTimeout(() => this.box.scrollTop === this.last && this.settle(), 200); // else a scroll is on its way
	}

	/** Puts the thumb to where the rows are. */
	settle() {
		const top = Math.round(this.toTop(this.offset));
		if (Math.abs(top - this.box.scrollTop) >= 1) {
			this.box.scrollTop = top;
			this.last = this.box.scrollTop;
			this.place();
		}
	}

	range() {
		const from = Math.floor(this.offset / this.rowHeight);
		const to = Math.ceil((this.offset + this.view) / this.rowHeight);
		return [Math.max(0, from), Math.min(this.count, to)];
	}

	/** Draws the rows that are seen; those that no longer are give their elements away. */
	paint(anew = false) {
		const [from, to] = this.range();
		const low = Math.max(0, from - SPARE);
		const high = Math.min(this.count, to + SPARE);
		for (const [index, row] of this.rows) {
			if (index < low || index >= high) {
				this.rows.delete(index);
				this.pool.push(row);
			}
		}
		for (let index = low; index < high; index++) {
			let row = this.rows.get(index);
			const known = Boolean(row);
			if (!row) {
				row = this.pool.pop() ?? this.fresh();
				this.rows.set(index, row);
			}
			if (!known || anew) this.draw(row, index);
		}
		for (const row of this.pool) {
			row.hidden = true;
			row.removeAttribute('id'); // it stands for nothing now
		}
		this.place();
		if (to > from) this.seen(from, to);
	}

	fresh() {
		const row = this.make();
		this.stage.append(row);
		return row;
	}

	place() {
		// Not `scrollTop`, which has the browser lay out first what was just drawn.
		const shift = Math.round(this.last - this.offset);
		for (const [index, row] of this.rows) {
			const top = index * this.rowHeight + shift;
			if (row.top !== top) row.style.transform = `translateY(${(row.top = top)}px)`;
			if (row.hidden) row.hidden = false;
		}
	}

	/** Draws again what is drawn. */
	redraw() {
		this.paint(true);
	}

	/** Scrolls so that a row is seen. */
	reveal(index) {
		const top = index * this.rowHeight;
		if (top < this.offset) this.go(top);
		else if (top + this.rowHeight > this.offset + this.view) this.go(top + this.rowHeight - this.view);
	}

	go(offset) {
		this.offset = Math.max(0, Math.min(offset, this.whole - this.view));
		this.settle();
		this.paint();
	}

	/** Keeps what is seen in place when rows come in above it. */
	shift(rows) {
		if (rows > 0 && this.offset > 0) this.go(this.offset + rows * this.rowHeight);
	}
}
