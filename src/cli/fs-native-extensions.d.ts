/** The part of the package that is used; it has no types of its own. */
declare module 'fs-native-extensions' {
  /** Locks an open file for this handle. @returns false if another handle has it locked, here or in another process */
  export function tryLock(fd: number): boolean;
}
