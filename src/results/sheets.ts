/** The contact sheets of a run: true faces, and their reconstructions under selected conditions. */
import { calibratedTo, conditionKey, equalRate, isUndefended } from './condition.ts';
import { levelled, reconstructionSheet, type SheetRow } from './figures/sheet.ts';
import type { EncodePng } from './figures/style.ts';
import { formatNumber } from './format.ts';
import { attackedTitle, conditionLabel } from './labels.ts';
import type { Presentation } from './presentation.ts';
import type { Condition, Results, SummaryEntry } from './schema.ts';

/** Largest number of columns (people or photographs), and of memories. */
const COLUMNS = 10;
const MEMORIES = 6;

/** A defence is useful if it keeps at least this share of the undefended accuracy. */
const USEFUL = 0.9;

/** The pictures of a run: reconstructions by condition and attack, true faces by file, and the mean face. */
export interface SheetPictures {
  reconstructions(condition: Condition, attack: string): readonly Float32Array[] | undefined;
  truth(file: string): readonly Float32Array[];
  readonly meanFace: Float32Array;
}

/**
 * Draws one sheet per kind of attack, named `recon` for the first kind and `recon-<kind>` for the others.
 * @param options.layers set of layers whose bit errors and noise are shown; default: all sets
 */
export function contactSheets(
  results: Results,
  presentation: Presentation,
  pictures: SheetPictures,
  options: { readonly layers?: string; readonly encodePng: EncodePng },
): { readonly name: string; readonly svg: string }[] {
  const attacks = presentation.attacks.flatMap((attack) => (attack.truth ? [{ ...attack, truth: attack.truth }] : []));
  const kinds = [...new Set(attacks.map(({ kind }) => kind))];
  return kinds.map((kind, i) => {
    const own = attacks.filter((attack) => attack.kind === kind);
    const manifest = { ...results.manifest, attacks: own };
    const columns = own[0].shown.slice(0, COLUMNS);
    return {
      name: i === 0 ? 'recon' : `recon-${kind}`,
      svg: reconstructionSheet({
        columns,
        rows: sheetRows(results, own, pictures, columns.length, options.layers),
        width: presentation.width,
        height: presentation.height,
        channels: presentation.channels,
        title: attackedTitle(manifest),
        footnote:
          `${manifest.dataset.name}. First draw of each condition; numbers are means over all draws and people.` +
          (own[0].photographs
            ? ''
            : ' Brightness and contrast of every reconstruction are set to those of the mean face, which no PCC sees.'),
        encodePng: options.encodePng,
      }),
    };
  });
}

function sheetRows(
  { summary }: Results,
  attacks: readonly (Presentation['attacks'][number] & { readonly truth: string })[],
  pictures: SheetPictures,
  columns: number,
  layers: string | undefined,
): SheetRow[] {
  const rows: SheetRow[] = [];
  const truths = new Set<string>();
  for (const { name, title, split, photographs, truth } of attacks) {
    // Only the first attack on each set of photographs is shown, because the others reconstruct the same faces.
    if (photographs && truths.has(truth)) continue;
    if (!truths.has(truth)) {
      truths.add(truth);
      const detail = photographs ? `${split} photographs` : 'a training photograph';
      rows.push({ label: 'truth', detail, images: pictures.truth(truth).slice(0, columns) });
    }
    const entries = summary.filter((entry) => entry.attack === name);
    for (const { condition, accuracy, pcc, pccLift, liftMeanFree } of chosen(entries, layers)) {
      const images = pictures.reconstructions(condition, name);
      if (!images) continue;
      rows.push({
        label: conditionLabel(condition),
        detail:
          `${title}\naccuracy ${accuracy.mean.toFixed(2)}, ` +
          `PCC ${formatNumber(pcc.mean, 2)}, lift ${formatNumber(liftMeanFree.mean ?? pccLift.mean, 2)}`,
        images: images.slice(0, columns).map((image) => (photographs ? image : levelled(image, pictures.meanFace))),
      });
    }
  }
  return rows;
}

/**
 * Selects the undefended model, changed confidences without errors, memories, the strongest bit errors, the strongest that
 * still leave a useful model, and the noise that was calibrated to either.
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
