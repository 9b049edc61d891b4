// Random operations against a store that is as simple as can be. Outside transactions every reply is the model's. A
// transaction that commits must be one that could have run at the moment of its commit, in one piece, with the same
// replies; one that no write disturbed must commit.
import fc from 'fast-check';
import t from 'tap';
import { checkStore } from '../../../../services/xenstored/check.js';
import { type OpName, StoreLab } from '../../../../testkit/store-lab.js';
import { tries } from '../../../../testkit/tier.js';

/** Values by path; children in creation order come from the order of keys. */
class Model {
  readonly values: Map<string, string>;
  constructor(values: Iterable<readonly [string, string]> = [['/', '']]) {
    this.values = new Map(values);
  }
  copy(): Model {
    return new Model(this.values);
  }
  apply(op: Op): string {
    const { path } = op;
    const parent = path.slice(0, path.lastIndexOf('/')) || '/';
    switch (op.kind) {
      case 'READ':
        return this.values.get(path) ?? 'ENOENT';
      case 'DIRECTORY': {
        if (!this.values.has(path)) return 'ENOENT';
        const prefix = path === '/' ? '/' : `${path}/`;
        const below = [...this.values.keys()].filter((at) => at.startsWith(prefix) && at !== path);
        return below
          .map((at) => at.slice(prefix.length))
          .filter((name) => !name.includes('/'))
          .join('|');
      }
      case 'WRITE':
        this.#make(path);
        this.values.set(path, op.value);
        return 'OK';
      case 'MKDIR':
        this.#make(path);
        return 'OK';
      case 'RM': {
        if (path === '/') return 'EINVAL';
        if (!this.values.has(path)) return this.values.has(parent) ? 'OK' : 'ENOENT';
        for (const at of [...this.values.keys()]) {
          if (at === path || at.startsWith(`${path}/`)) this.values.delete(at);
        }
        return 'OK';
      }
    }
  }
  #make(path: string): void {
    const parts = path.split('/').slice(1);
    for (let count = 1; count <= parts.length; count++) {
      const at = `/${parts.slice(0, count).join('/')}`;
      if (path !== '/' && !this.values.has(at)) this.values.set(at, '');
    }
  }
}

interface Op {
  readonly kind: 'READ' | 'WRITE' | 'MKDIR' | 'RM' | 'DIRECTORY';
  readonly path: string;
  readonly value: string;
}
type Step = { readonly who: string } & (
  | { readonly kind: 'OP'; readonly op: Op }
  | { readonly kind: 'BEGIN' }
  | { readonly kind: 'COMMIT' }
  | { readonly kind: 'ABORT' }
);

const who = fc.constantFrom('dom0', 'dom0-b', 'dom0-c');
const path = fc
  .array(fc.constantFrom('a', 'b', 'c'), { minLength: 0, maxLength: 3 })
  .map((parts) => `/${parts.join('/')}`);
const op: fc.Arbitrary<Op> = fc.record({
  kind: fc.constantFrom('READ', 'WRITE', 'WRITE', 'MKDIR', 'RM', 'DIRECTORY'),
  path,
  value: fc.constantFrom('', '1', '22'),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ who, kind: fc.constant('OP'), op }),
  },
  { weight: 1, arbitrary: fc.record({ who, kind: fc.constant('BEGIN') }) },
  { weight: 2, arbitrary: fc.record({ who, kind: fc.constantFrom('COMMIT', 'COMMIT', 'ABORT') }) },
) as fc.Arbitrary<Step>;

interface Open {
  readonly id: number;
  readonly done: { op: Op; reply: string }[];
  /** Nothing changed in the store since it began. */
  undisturbed: boolean;
}

function dump(lab: StoreLab): string[] {
  const lines: string[] = [];
  const visit = (at: string): void => {
    const node = lab.store.tree.get(at);
    lines.push(`${at}=${node?.value}`);
    for (const name of node?.children ?? []) visit(at === '/' ? `/${name}` : `${at}/${name}`);
  };
  visit('/');
  return lines;
}

function dumpModel(model: Model): string[] {
  const lines: string[] = [];
  const visit = (at: string): void => {
    lines.push(`${at}=${model.values.get(at)}`);
    const names = model.apply({ kind: 'DIRECTORY', path: at, value: '' });
    for (const name of names === '' ? [] : names.split('|')) visit(at === '/' ? `/${name}` : `${at}/${name}`);
  };
  visit('/');
  return lines;
}

function same(actual: unknown, expected: unknown, what: string): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${what}: ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
  }
}

function run(steps: readonly Step[]): void {
  const lab = new StoreLab();
  lab.expectOk('dom0', 'RM', '/tool|');
  let model = new Model();
  const open = new Map<string, Open>();
  const changed = (by: string | undefined): void => {
    for (const [name, transaction] of open) if (name !== by) transaction.undisturbed = false;
  };
  const send = (name: string, op: Op, txId: number): string => {
    const value = op.kind === 'WRITE' ? op.value : '';
    return lab.reply(name, op.kind as OpName, `${op.path}|${value}`, txId);
  };
  for (const step of steps) {
    const transaction = open.get(step.who);
    if (step.kind === 'BEGIN') {
      if (transaction === undefined) open.set(step.who, { id: lab.begin(step.who), done: [], undisturbed: true });
    } else if (step.kind === 'ABORT' || step.kind === 'COMMIT') {
      if (transaction === undefined) continue;
      open.delete(step.who);
      const reply = lab.reply(step.who, 'TRANSACTION_END', step.kind === 'COMMIT' ? 'T|' : 'F|', transaction.id);
      if (step.kind === 'ABORT') same(reply, 'OK', 'an abort');
      else if (reply === 'OK') {
        const next = model.copy();
        for (const { op, reply } of transaction.done) same(next.apply(op), reply, `replayed ${op.kind} ${op.path}`);
        model = next;
        // A write disturbs every transaction that touched the node, also one of the same value.
        if (transaction.done.some(({ op }) => op.kind !== 'READ' && op.kind !== 'DIRECTORY')) changed(step.who);
      } else {
        same(reply, 'EAGAIN', 'a commit that failed');
        if (transaction.undisturbed) throw new Error('an undisturbed transaction did not commit');
      }
    } else if (transaction !== undefined) {
      transaction.done.push({ op: step.op, reply: send(step.who, step.op, transaction.id) });
    } else {
      const { kind, path } = step.op;
      same(send(step.who, step.op, 0), model.apply(step.op), `${kind} ${path}`);
      if (kind !== 'READ' && kind !== 'DIRECTORY') changed(undefined);
    }
    same(dump(lab), dumpModel(model), 'the store');
  }
  for (const name of open.keys()) lab.close(name);
  same(checkStore(lab.store), [], 'a sound store');
  same(lab.store.audit(), [], 'nothing held');
}

t.test('the store is the simple one, transactions included', async () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 60, size: 'max' }), run), { numRuns: tries(300, 1000) });
});
