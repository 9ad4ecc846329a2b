// The smallest thing that a test in the browser needs: named tests, equality by value, and a list of what failed.

const tests = [];

export const test = (name, run) => tests.push([name, run]);

export function equal(found, wanted, what = '') {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what} wanted ${b}, found ${a}`);
}

export function truth(found, what) {
  if (!found) throw new Error(what);
}

/** Runs all; gives [passed, [failures]]. */
export async function run() {
  const failed = [];
  for (const [name, body] of tests) {
    try {
      await body();
    } catch (error) {
      failed.push(`${name}: ${error.message}`);
    }
  }
  return [tests.length - failed.length, failed];
}
