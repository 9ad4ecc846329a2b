// Places of a long result, and changes of it, against the plain list that they stand for.
import { equal, test, truth } from './check.js';
import { Segments } from '../../src/segments.js';
import { applyChanges } from '../../src/store.js';

const made = (...runs) => {
  const places = new Segments();
  for (const [start, ids] of runs) places.put(start, ids);
  return places;
};
const shape = (places) => places.runs.map((run) => [run.start, run.ids.join('')]);

test('windows that touch or overlap become one run', () => {
  const places = made([0, ['a', 'b']], [4, ['e', 'f']], [2, ['c', 'd']]);
  equal(shape(places), [[0, 'abcdef']]);
  places.put(1, ['B', 'C']);
  equal(shape(places), [[0, 'aBCdef']]);
  equal(places.at(2), 'C');
  equal(places.at(9), undefined);
});

test('a gap stays a gap', () => {
  const places = made([0, ['a']], [10, ['k', 'l']]);
  equal([places.at(0), places.at(1), places.at(10), places.at(11), places.at(12)], ['a', null, 'k', 'l', null].map((x) => x ?? undefined));
  equal(places.indexOf('l'), 11);
});

test('what comes at the top moves all behind it', () => {
  const places = made([0, ['a', 'b']], [10, ['k']]);
  places.apply({ removed: [], added: [{ id: 'n', index: 0 }], total: 12 });
  equal(shape(places), [[0, 'nab'], [11, 'k']]);
  equal(places.total, 12);
});

test('a removed id that is known moves all behind it', () => {
  const places = made([0, ['a', 'b', 'c']], [10, ['k']]);
  truth(places.apply({ removed: ['b'], added: [], total: 20 }), 'certain');
  equal(shape(places), [[0, 'ac'], [9, 'k']]);
});

test('a removed id from a gap leaves only what is before the gap', () => {
  const places = made([0, ['a', 'b']], [10, ['k']]);
  truth(!places.apply({ removed: ['x'], added: [], total: 20 }), 'uncertain');
  equal(shape(places), [[0, 'ab']]);
});

test('what was taken out here is not taken out twice', () => {
  const places = made([0, ['a', 'b', 'c']], [10, ['k']]);
  places.total = 12;
  equal(places.remove('a'), 0);
  equal(places.total, 11);
  truth(places.apply({ removed: ['a'], added: [], total: 11 }), 'certain');
  equal(shape(places), [[0, 'bc'], [9, 'k']]);
});

test('what was taken out here, came back and went again is gone', () => {
  const places = made([0, ['a', 'b', 'c']]);
  places.remove('a');
  places.apply({ removed: [], added: [{ id: 'a', index: 0 }], total: 3 });
  equal(shape(places), [[0, 'abc']]);
  truth(places.apply({ removed: ['a'], added: [], total: 2 }), 'certain');
  equal(shape(places), [[0, 'bc']]);
});

test('an id in both lists moves (RFC 8620 §5.6)', () => {
  const places = made([0, ['a', 'b', 'c']]);
  places.apply({ removed: ['c'], added: [{ id: 'c', index: 0 }], total: 3 });
  equal(shape(places), [[0, 'cab']]);
  places.apply({ removed: [], added: [{ id: 'b', index: 0 }], total: 3 });
  equal(shape(places), [[0, 'bca']], 'added though known');
});

test('random changes give what the plain list gives', () => {
  let seed = 7;
  const random = (below) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % below;
  };
  for (let round = 0; round < 200; round++) {
    let list = Array.from({ length: 40 }, (_, at) => `m${round}.${at}`);
    const places = new Segments();
    for (let at = 0; at < 40; at += 5) if (random(3)) places.put(at, list.slice(at, at + 5));
    for (let step = 0; step < 5; step++) {
      const next = list.filter(() => random(8) > 0);
      const removed = list.filter((id) => !next.includes(id));
      const added = [];
      for (let count = random(3); count > 0; count--) next.splice(random(next.length + 1), 0, `n${round}.${step}.${count}`);
      next.forEach((id, index) => !list.includes(id) && added.push({ id, index }));
      places.apply({ removed, added, total: next.length });
      list = next;
      for (const run of places.runs) equal(run.ids, list.slice(run.start, run.start + run.ids.length), `round ${round}`);
      places.runs.forEach((run, at) => at && truth(places.runs[at - 1].start + places.runs[at - 1].ids.length < run.start, 'runs stay apart'));
    }
  }
});

test('far places are forgotten', () => {
  const places = made([0, Array(100).fill('a')], [500, Array(100).fill('b')]);
  places.trim(520, 120);
  equal(places.runs.map((run) => [run.start, run.ids.length]), [[500, 80]]);
});

test('changes of objects', () => {
  const map = new Map([['1', { id: '1', name: 'a', kept: true }], ['2', { id: '2' }]]);
  applyChanges(map, [{ id: '1', name: 'b' }, { id: '3' }], ['2', '9']);
  equal([...map.values()], [{ id: '1', name: 'b', kept: true }, { id: '3' }]);
});
