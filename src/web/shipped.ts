/**
 * Results of the shipped networks that come with the page, so that it shows pictures before the engine is ready, and where there
 * is no WebGPU. test/support/ship_page.ts makes them with the engine; a test compares them with it.
 */

import type { Pictures, ShownWeight } from './protocol.ts';
import { RATES } from './rates.ts';
import facesUrl from './shipped/faces.jpg?url';
import flipsUrl from './shipped/flips.png?url';
import peopleUrl from './shipped/people.jpg?url';
import results from './shipped/results.json';
import type { Point } from './verdict.ts';

/** The content of shipped/results.json. */
export interface ShippedResults {
  /** Names of the people whose photographs are shown. */
  readonly names: readonly string[];
  readonly none: Point;
  /** One per entry of RATES. */
  readonly rates: readonly Point[];
  readonly tensor: { readonly name: string; readonly bits: number; readonly rows: number; readonly columns: number };
  /** Weights with the codes and values that a read returns at every rate. */
  readonly weights: readonly {
    readonly code: number;
    readonly value: number;
    readonly reads: readonly number[];
    readonly readValues: readonly number[];
  }[];
  readonly people: ShippedAttack;
}

/** An attack that reconstructs people, without errors and with errors in all layers. */
export interface ShippedAttack {
  readonly rate: number;
  readonly names: readonly string[];
  /** Numbers of the iterations that are shown. */
  readonly iterations: readonly number[];
  readonly none: Point;
  readonly memory: Point;
  /** Size of a picture, pixels. */
  readonly width: number;
  readonly height: number;
}

export const SHIPPED = results as ShippedResults;

/** The faces: true ones, reconstructions without errors, and reconstructions at every rate. */
export interface ShippedFaces {
  readonly truth: Pictures;
  readonly none: Pictures;
  readonly rates: readonly Pictures[];
}

/** Side of a shipped face, pixels. */
const SIDE = 32;

export async function shippedFaces(): Promise<ShippedFaces> {
  const [truth, none, ...rates] = await sheet(facesUrl, SIDE, SIDE);
  return { truth, none, rates };
}

/** The pictures of {@link SHIPPED}.people: the true faces, and those of every shown iteration. */
export async function shippedPeople(): Promise<{ truth: Pictures; none: Pictures[]; memory: Pictures[] }> {
  const { width, height, iterations } = SHIPPED.people;
  const [truth, ...rest] = await sheet(peopleUrl, width, height);
  return { truth, none: rest.slice(0, iterations.length), memory: rest.slice(iterations.length) };
}

/** For every weight of the shipped tensor, row-major, the index of the first rate at which any of its bits flips. */
export async function shippedFlips(): Promise<Uint8Array> {
  const { rows, columns } = SHIPPED.tensor;
  const [{ images }] = await sheet(flipsUrl, columns, rows);
  return images[0];
}

/** The shipped weights as a read returns them at RATES[index]. */
export function weightsAt(index: number): ShownWeight[] {
  return SHIPPED.weights.map(({ code, value, reads, readValues }) => ({
    ...{ code, value, read: reads[index], readValue: readValues[index] },
  }));
}

/** Index in RATES of a rate; -1 if the shipped results have no such rate. */
export const rateIndex = (rate: number) => RATES.indexOf(rate);

/** Reads a sheet of gray pictures: one row of pictures for each entry. */
async function sheet(url: string, width: number, height: number): Promise<Pictures[]> {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = image.width;
  canvas.height = image.height;
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  context.drawImage(image, 0, 0);
  const tile = (row: number, column: number) => {
    const { data } = context.getImageData(column * width, row * height, width, height);
    return Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]);
  };
  return Array.from({ length: image.height / height }, (_, row) => ({
    ...{ width, height, channels: 1 },
    images: Array.from({ length: image.width / width }, (_, column) => tile(row, column)),
  }));
}
