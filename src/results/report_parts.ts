/** The parts of a report's page: tables with explained headings, the faces that decide the verdict, and the terms on the page. */

import { pixelBytes } from './figures/sheet.ts';
import { type EncodePng, escapeXml, toBase64 } from './figures/style.ts';
import type { Table } from './format.ts';
import { GLOSSARY, TERMS } from './glossary.ts';
import { conditionLabel, METRIC_LABELS } from './labels.ts';
import type { Presentation } from './presentation.ts';
import { type DecidingFaces, picturesNote } from './sheets.ts';
import { accuracyText, recognisedText, type VerdictTable } from './verdict.ts';

/** A table whose headings explain the measures and terms that they name. */
export function tableHtml({ columns, rows }: Table): string {
  const head = columns.map((name) => `<th scope="col">${explained(name)}</th>`).join('');
  const body = rows.map((row) => {
    const [first, ...rest] = row.map((cell) => escapeXml(String(cell)));
    return `<tr><th scope="row">${first}</th>${rest.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  return `<div class="scroll" tabindex="0" role="region" aria-label="Table"><table><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>`;
}

/** A heading with the meaning of its measure or term, if it names one; a heading may add to the name after a bracket or comma. */
function explained(heading: string): string {
  const found = GLOSSARY.find(({ term }) => heading === term || /^[,(]/.test(after(heading, term)));
  return found ? `<abbr title="${escapeXml(found.text)}">${escapeXml(heading)}</abbr>` : escapeXml(heading);
}

function after(heading: string, term: string): string {
  return heading.startsWith(term) ? heading.slice(term.length).trimStart() : '';
}

/** The table of a verdict, which becomes a list on a narrow screen. */
export function verdictTableHtml(table: VerdictTable): string {
  const columns = [
    'Condition',
    'Owner’s accuracy',
    'Change of accuracy',
    METRIC_LABELS[table.metric],
    'Change of recognition',
  ];
  const rows = table.rows.map((row) => {
    const cells = [accuracyText(row), row.owner, recognisedText(row, table), row.attacker];
    const data = cells.map((cell, i) => `<td data-column="${escapeXml(columns[i + 1])}">${escapeXml(cell)}</td>`);
    return `<tr><th scope="row">${escapeXml(conditionLabel(row.condition))}</th>${data.join('')}</tr>`;
  });
  const head = columns.map((name) => `<th scope="col">${explained(name)}</th>`).join('');
  return `<table class="verdict"><thead><tr>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
}

/** Pictures of a report, encoded. */
export interface ReportFaces {
  /** PNG files; undefined for a picture that is not finite. */
  readonly rows: readonly {
    readonly label: string;
    readonly detail: string;
    readonly images: readonly { readonly name: string; readonly png: Uint8Array | undefined }[];
  }[];
  readonly note: string;
}

/** Most faces in a row. */
const FACES = 8;

/** Encodes the faces that decide a verdict for a report. */
export function reportFaces(
  { rows, columns, attack }: DecidingFaces,
  { width, height, channels = 1, attacks }: Presentation,
  encodePng: EncodePng,
): ReportFaces {
  const photographs = attacks.find(({ name }) => name === attack)?.photographs ?? false;
  return {
    rows: rows.map(({ label, detail = '', images }) => ({
      label,
      detail,
      images: images.slice(0, FACES).map((image, i) => {
        const bytes = pixelBytes(image, width * height * channels, `${label}, ${columns[i]}`);
        return { name: columns[i], png: bytes && encodePng(bytes, width, height, channels) };
      }),
    })),
    note: picturesNote(photographs),
  };
}

/** The faces in rows with their labels: beside each other on a wide screen, below each other on a narrow one. */
export function facesHtml({ rows, note }: ReportFaces): string {
  const lines = rows.map(({ label, detail, images }) => {
    const strip = images.map(({ name, png }) =>
      png
        ? `<img alt="${escapeXml(`${name}, ${label}`)}" src="data:image/png;base64,${toBase64(png)}">`
        : '<span class="lost">not finite</span>',
    );
    return (
      `<div><p><b>${escapeXml(label)}</b><span>${escapeXml(detail)}</span></p>` +
      `<div class="strip" style="--faces: ${images.length}">${strip.join('')}</div></div>`
    );
  });
  return `<figure id="faces"><div class="faces">${lines.join('\n')}</div>\n<figcaption>${escapeXml(note)} One column per person.</figcaption></figure>`;
}

/** The meanings of the terms that a text uses, folded up. */
export function termsHtml(text: string): string {
  const used = TERMS.filter(({ term }) => new RegExp(`\\b${term}s?\\b`, 'i').test(text));
  if (used.length === 0) return '';
  const entries = used.map(
    ({ term, text: meaning }) => `<div><dt>${escapeXml(term)}</dt><dd>${escapeXml(meaning)}</dd></div>`,
  );
  return `<details id="terms"><summary>Terms on this page</summary><dl>${entries.join('\n')}</dl></details>`;
}
