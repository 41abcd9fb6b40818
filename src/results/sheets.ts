/** The contact sheets of a run: true faces, and what attacks made of them under the conditions that say most. */
import { calibratedTo, conditionKey, equalRate, isUndefended } from './condition.ts';
import { levelled, reconstructionSheet, type SheetRow } from './figures/sheet.ts';
import type { EncodeGrayPng } from './figures/style.ts';
import { attackedTitle, conditionLabel } from './labels.ts';
import type { Presentation } from './presentation.ts';
import type { Condition, Results, SummaryEntry } from './schema.ts';

/** At most so many people or photographs, and so many memories. */
const COLUMNS = 10;
const MEMORIES = 6;

/** A defence that costs at most a tenth of the accuracy is one that an owner would use. */
const USEFUL = 0.9;

/** Pictures by file: of a condition under an attack, of the true faces, and the mean face. */
export interface SheetPictures {
  reconstructions(condition: Condition, attack: string): readonly Float32Array[] | undefined;
  truth(file: string): readonly Float32Array[];
  readonly meanFace: Float32Array;
}

/**
 * One sheet per kind of attack: `recon` for the first, `recon-<kind>` for others.
 * @param options.layers set of layers whose bit errors and noise are shown
 */
export function contactSheets(
  results: Results,
  presentation: Presentation,
  pictures: SheetPictures,
  options: { readonly layers?: string; readonly encodeGrayPng: EncodeGrayPng },
): { readonly name: string; readonly svg: string }[] {
  const kinds = [...new Set(presentation.attacks.map(({ kind }) => kind))];
  return kinds.map((kind, i) => {
    const own = presentation.attacks.filter((attack) => attack.kind === kind);
    const manifest = { ...results.manifest, attacks: own };
    const columns = own[0].shown.slice(0, COLUMNS);
    return {
      name: i === 0 ? 'recon' : `recon-${kind}`,
      svg: reconstructionSheet({
        columns,
        rows: sheetRows(results, own, pictures, columns.length, options.layers),
        width: presentation.width,
        height: presentation.height,
        title: attackedTitle(manifest),
        footnote:
          `${manifest.dataset.name}. First draw of each condition; numbers are means over all draws and people.` +
          (own[0].photographs
            ? ''
            : ' Brightness and contrast of every reconstruction are set to those of the mean face, which no PCC sees.'),
        encodeGrayPng: options.encodeGrayPng,
      }),
    };
  });
}

function sheetRows(
  { summary }: Results,
  attacks: Presentation['attacks'],
  pictures: SheetPictures,
  columns: number,
  layers: string | undefined,
): SheetRow[] {
  const rows: SheetRow[] = [];
  const truths = new Set<string>();
  for (const { name, title, split, photographs, truth } of attacks) {
    // Of attacks on photographs the first for each split: others show the same faces.
    if (photographs && truths.has(truth)) continue;
    if (!truths.has(truth)) {
      truths.add(truth);
      const detail = photographs ? `${split} photographs` : 'a training photograph';
      rows.push({ label: 'truth', detail, images: pictures.truth(truth).slice(0, columns) });
    }
    const entries = summary.filter((entry) => entry.attack === name);
    for (const { condition, accuracy, pcc, pccLift } of chosen(entries, layers)) {
      const images = pictures.reconstructions(condition, name);
      if (!images) continue;
      rows.push({
        label: conditionLabel(condition),
        detail:
          `${title}\naccuracy ${accuracy.mean.toFixed(2)}, ` +
          `PCC ${pcc.mean.toFixed(2)}, lift ${pccLift.mean.toFixed(2)}`,
        images: images.slice(0, columns).map((image) => (photographs ? image : levelled(image, pictures.meanFace))),
      });
    }
  }
  return rows;
}

/**
 * The undefended model, memories, the strongest bit errors, the strongest that still leave a useful model, and the noise that
 * was calibrated to either.
 */
function chosen(entries: readonly SummaryEntry[], layers: string | undefined): SummaryEntry[] {
  const base = entries.find(({ condition }) => isUndefended(condition));
  const bits = entries.filter(
    ({ condition }) =>
      condition.kind === 'bit-error' &&
      (layers === undefined || condition.layers === layers) &&
      equalRate(condition) !== undefined,
  );
  bits.sort((a, b) => a.accuracy.mean - b.accuracy.mean);
  const useful = bits.find(({ accuracy }) => base && accuracy.mean >= USEFUL * base.accuracy.mean);
  const keys = new Set([bits[0], useful].flatMap((entry) => (entry ? [conditionKey(entry.condition)] : [])));
  const memories = entries.filter(({ condition }) => condition.kind === 'memory').slice(0, MEMORIES);
  return entries.filter((entry) => {
    const { condition } = entry;
    const noise = calibratedTo(condition);
    return (
      entry === base ||
      memories.includes(entry) ||
      (condition.kind === 'none' && condition.release !== undefined) ||
      keys.has(conditionKey(condition)) ||
      (noise !== undefined && keys.has(noise) && (layers === undefined || condition.layers === layers))
    );
  });
}
