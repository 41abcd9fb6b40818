/** The verdict of what was measured on this machine, by the tests of the command line's report. Loaded when a curve is finished. */
import { METRIC_LABELS } from '../results/labels.ts';
import { conditionLabel, type Results } from '../results/results.ts';
import { accuracyText, intervalNote, recognisedText, verdictOf } from '../results/verdict.ts';
import { el, table } from './dom.ts';

/** The answer in a sentence, its notes, and the table that it rests on, with intervals. */
export function verdictElements(results: Results): HTMLElement[] {
  const { answer, notes, table: found } = verdictOf(results);
  const said = el('p', {}, el('strong', {}, answer), ` ${notes.join(' ')}`);
  if (!found) return [said];
  const head = ['condition', 'owner’s accuracy', 'change of it', METRIC_LABELS[found.metric], 'change of it'];
  const rows = found.rows.map((row) => [
    conditionLabel(row.condition),
    accuracyText(row),
    row.owner,
    recognisedText(row, found),
    row.attacker,
  ]);
  const caption = 'What the answer rests on';
  return [
    said,
    el('div', { class: 'table-box' }, table(caption, [head, ...rows])),
    el('p', { class: 'note' }, intervalNote(results, found)),
  ];
}
