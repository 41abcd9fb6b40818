/** Shows the adapter, its limits and features, and the result of checking every kernel on it. */
import { byId, el, table } from './dom.ts';
import type { Reply } from './protocol.ts';

export function showAdapter(
  { adapter, limits, features, networks }: Extract<Reply, { kind: 'opened' }>,
  { trainAccuracy, evaluatorAccuracy }: Extract<Reply, { kind: 'victim' }>,
): void {
  const badge = byId('badge');
  badge.hidden = false;
  badge.classList.toggle('software', adapter.software);
  badge.replaceChildren(
    adapter.software
      ? `software adapter: ${adapter.name} computes on the CPU, much more slowly than a GPU`
      : `on your GPU: ${adapter.name}`,
  );
  byId('adapter-table').replaceChildren(
    table('What this page runs on', [
      ['', 'value'],
      ['adapter', adapter.name],
      ['vendor and architecture', `${adapter.vendor} ${adapter.architecture}`.trim()],
      ['software', adapter.software ? 'yes' : 'no'],
      ...Object.entries(limits).map(([name, value]) => [name, String(value)]),
      ['features', features.join(', ')],
      ['networks', networks],
      ['accuracy on training images, no defence', trainAccuracy.toFixed(3)],
      ['real photographs that the linear evaluator recognises', evaluatorAccuracy.toFixed(3)],
    ]),
  );
}

export function showChecks(checks: Extract<Reply, { kind: 'checked' }>['checks']): void {
  const right = checks.filter(({ ok }) => ok).length;
  byId('kernels').replaceChildren(
    el('p', {}, `${right} of ${checks.length} kernels agree with their CPU references.`),
    table('Largest error of each kernel, and the error allowed there', [
      ['kernel', 'error', 'allowed', ''],
      ...checks.map(({ kernel, maxError, tolerance, ok, failure }) => [
        kernel,
        Number.isNaN(maxError) ? (failure ?? 'no number') : maxError.toExponential(1),
        tolerance.toExponential(1),
        ok ? 'ok' : 'WRONG',
      ]),
    ]),
  );
}
