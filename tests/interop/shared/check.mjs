// What the programs of Node clients share: where the nodes are, and a line for each check.
import assert from 'node:assert/strict';

export const PRIMARY = Number(process.env.PRIMARY), REPLICA = Number(process.env.REPLICA), LOCKED = Number(process.env.LOCKED);
export const WAIT_MS = 20_000;
export const equal = assert.deepEqual;

export async function refused(promise, text) {
  try {
    await promise;
  } catch (error) {
    assert.ok(error.message.includes(text), `the error is ${JSON.stringify(error.message)}, without ${JSON.stringify(text)}`);
    return;
  }
  assert.fail(`no error ${JSON.stringify(text)}`);
}

// condition may be asynchronous.
export async function until(condition) {
  const deadline = Date.now() + WAIT_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `not reached within ${WAIT_MS} ms`);
    await new Promise((resume) => setTimeout(resume, 10));
  }
}

// A function that makes a promise and, beside it, what resolves it.
export function later() {
  let resolve;
  const promise = new Promise((done) => { resolve = done; });
  return { promise, resolve };
}

// checks: name -> asynchronous function. Connections that a check leaves behind end with the process.
export async function runAll(checks) {
  for (const [name, check] of Object.entries(checks)) {
    let overdue;
    const limit = new Promise((_, reject) => { overdue = setTimeout(() => reject(new Error('no end within a minute')), 60_000); });
    try {
      await Promise.race([check(), limit]);
      console.log(`passed ${name}`);
    } catch (error) {
      console.log(`failed ${name}: ${String(error.message).replaceAll('\n', ' ')}`);
    }
    clearTimeout(overdue);
  }
  console.log('all checks were made');
  process.exit(0);
}
