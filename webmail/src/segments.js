// What is known of a long, ordered result: runs of ids at known places, with gaps between them. It takes changes
// (RFC 8620 §5.6) exactly where the places are certain, and forgets what they leave uncertain. It never asks a server.

export class Segments {
	constructor() {
		this.runs = []; // {start, ids}, ascending, never touching each other
		this.total = 0;
		this.gone = new Set(); // taken out here before the server said so
	}

	at(index) {
		const run = this.runs[this.find(index)];
		return run && index >= run.start ? run.ids[index - run.start] : undefined;
	}

	/** The last run that starts at or before `index`: its place in `runs`, or -1. */
	find(index) {
		let low = 0;
		let high = this.runs.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (this.runs[middle].start <= index) low = middle + 1;
			else high = middle;
		}
		return low - 1;
	}

	indexOf(id) {
		for (const run of this.runs) {
			const at = run.ids.indexOf(id);
			if (at >= 0) return run.start + at;
		}
		return -1;
	}

	/** All ids that are known, in order. */
	ids() {
		return this.runs.flatMap((run) => run.ids);
	}

	/** Puts what a query answered at its place, over what was there. */
	put(start, ids) {
		if (!ids.length) return;
		for (const id of ids) this.gone.delete(id);
		const end = start + ids.length;
		const runs = [];
		let run = { start, ids };
		for (const other of this.runs) {
			const otherEnd = other.start + other.ids.length;
			if (otherEnd < start || other.start > end) {
				runs.push(other);
				continue;
			}
			const before = other.start < run.start ? other.ids.slice(0, run.start - other.start) : [];
			const after = otherEnd > run.start + run.ids.length ? other.ids.slice(run.start + run.ids.length - other.start) : [];
			run = { start: run.start - before.length, ids: [...before, ...run.ids, ...after] };
		}
		runs.push(run);
		this.runs = runs.sort((a, b) => a.start - b.start);
	}

	/** Takes an id out at once; what follows moves up. The server's word for it comes later and finds it done. */
	remove(id) {
		const index = this.indexOf(id);
		if (index < 0) return -1;
		this.cut(index);
		this.gone.add(id);
		this.total -= 1;
		return index;
	}

	cut(index) {
		const place = this.find(index);
		const run = this.runs[place];
		run.ids = run.ids.toSpliced(index - run.start, 1);
		for (const later of this.runs.slice(place + 1)) later.start -= 1;
		this.join();
	}

	insert(index, id) {
		const place = this.find(index);
		const run = this.runs[place];
		const inside = run && index <= run.start + run.ids.length;
		for (const later of this.runs.slice(place + 1)) later.start += 1;
		if (inside) run.ids = run.ids.toSpliced(index - run.start, 0, id);
		else this.runs.splice(place + 1, 0, { start: index, ids: [id] });
		this.join();
	}

	/** Runs that have come to touch become one; empty ones go. */
	join() {
		const runs = [];
		for (const run of this.runs) {
			const last = runs.at(-1);
			if (!run.ids.length) continue;
			if (last && last.start + last.ids.length >= run.start) last.ids = [...last.ids, ...run.ids.slice(last.start + last.ids.length - run.start)];
			else runs.push(run);
		}
		this.runs = runs;
	}

	/**
	 * Email/queryChanges. A removed id that isn't known lay in a gap, nobody knows in which: then only the run from the
	 * very start is still certain, up to the first gap. Additions come with their places, ascending, after all removals.
	 */
	apply({ removed, added, total }) {
		let certain = true;
		for (const id of removed) {
			if (this.gone.delete(id)) continue;
			const index = this.indexOf(id);
			if (index >= 0) this.cut(index);
			else certain = false;
		}
		if (!certain) this.runs = this.runs.filter((run) => run.start === 0);
		for (const { id, index } of added) {
			const known = this.indexOf(id);
			if (known >= 0) this.cut(known);
			this.gone.delete(id);
			this.insert(index, id);
		}
		if (total !== undefined) this.total = total;
		return certain;
	}

	/** Forgets the runs that are far from what is looked at, so that a day of scrolling takes no more memory than a minute. */
	trim(around, most) {
		let size = this.runs.reduce((sum, run) => sum + run.ids.length, 0);
		if (size <= most) return;
		const near = around - most / 2;
		const far = around + most / 2;
		this.runs = this.runs
			.map((run) => {
				const from = Math.max(run.start, near);
				const to = Math.min(run.start + run.ids.length, far);
				return to > from ? { start: from, ids: run.ids.slice(from - run.start, to - run.start) } : { start: run.start, ids: [] };
			})
			.filter((run) => run.ids.length);
	}
}
