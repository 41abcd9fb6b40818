/** Files beside an ONNX file. */

/**
 * The bytes of a file that tensors of a model are in.
 * @param location path relative to the folder of the model, which it does not leave; with `/` between its parts
 * @returns undefined if there is no such file
 */
export type ExternalFiles = (location: string) => Uint8Array | undefined;
